"""Products, pipelines and stages."""

from __future__ import annotations

from pipedrive_simulator.operations import asking
from pipedrive_simulator.operations.operation import v2_get, v2_list

OPERATIONS = (
    v2_list("getProducts", "/products", cost=10, table="products", by_ids=True,
            sorts=("id", "name", "add_time", "update_time"), window=("updated_since",),
            equals={"owner_id": asking.integer}, entity="product"),
    v2_get("getProduct", "/products/{id}", table="products", name="product", entity="product",
           custom_fields=False),
    v2_list("getPipelines", "/pipelines", cost=5, table="pipelines"),
    v2_get("getPipeline", "/pipelines/{id}", table="pipelines", name="pipeline"),
    v2_list("getStages", "/stages", cost=5, table="stages",
            sorts=("id", "update_time", "add_time", "order_nr"),
            equals={"pipeline_id": asking.integer}),
    v2_get("getStage", "/stages/{id}", table="stages", name="stage"),
)  # fmt: skip
