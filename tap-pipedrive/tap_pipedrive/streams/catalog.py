"""What is sold, and the way it goes: products, pipelines, stages."""

from __future__ import annotations

from tap_pipedrive.streams.kinds import ListStream, PerRecord, UpdatedStream


class Products(UpdatedStream):
    """Products with their prices. GET /api/v2/products."""

    name = "products"
    operations = ("v2 /products",)
    primary_keys = ("id",)


class ProductVariations(PerRecord):
    """Variations of a product. GET /api/v2/products/{id}/variations."""

    name = "product_variations"
    operations = ("v2 /products/{id}/variations",)
    primary_keys = ("id",)
    parent = "products"
    parent_key = "product_id"


class Pipelines(ListStream):
    """Pipelines; ``update_time`` is null until the first edit. GET /api/v2/pipelines."""

    name = "pipelines"
    operations = ("v2 /pipelines",)
    essential = True
    primary_keys = ("id",)


class Stages(ListStream):
    """Stages of all pipelines. GET /api/v2/stages."""

    name = "stages"
    operations = ("v2 /stages",)
    essential = True
    primary_keys = ("id",)


class Currencies(ListStream):
    """GET /api/v1/currencies."""

    name = "currencies"
    operations = ("v1 /currencies",)
    primary_keys = ("id",)


class ActivityTypes(ListStream):
    """GET /api/v1/activityTypes."""

    name = "activity_types"
    operations = ("v1 /activityTypes",)
    primary_keys = ("id",)
