"""Products and their variations, pipelines and stages."""

from __future__ import annotations

from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation, existing, v2_get, v2_list
from pipedrive_simulator.operations.paging import PAGE_PARAMS, v2_rows
from pipedrive_simulator.operations.query_params import Request


def _variations(request: Request) -> bytes:
    product = existing(request, "products", "product")
    rows = request.account.product_variations
    return v2_rows(request, rows.group(product.id), rows.encode)


OPERATIONS = (
    v2_list("getProducts", "/products", cost=10, table="products", by_ids=True,
            sorts=("id", "name", "add_time", "update_time"), window=("updated_since",),
            equals={"owner_id": query_params.integer}, entity="product"),
    v2_get("getProduct", "/products/{id}", table="products", name="product", entity="product",
           custom_fields=False),
    Operation("getProductVariations", "v2", "/products/{id}/variations", 10, _variations,
              PAGE_PARAMS),
    v2_list("getPipelines", "/pipelines", cost=5, table="pipelines"),
    v2_get("getPipeline", "/pipelines/{id}", table="pipelines", name="pipeline"),
    v2_list("getStages", "/stages", cost=5, table="stages",
            sorts=("id", "update_time", "add_time", "order_nr"),
            equals={"pipeline_id": query_params.integer}),
    v2_get("getStage", "/stages/{id}", table="stages", name="stage"),
)  # fmt: skip
