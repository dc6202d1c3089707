"""What is sold, and the way it goes: products, pipelines, stages."""

from __future__ import annotations

from tap_pipedrive.streams.base import ListStream, UpdatedStream


class Products(UpdatedStream):
    """Products with their prices. GET /api/v2/products."""

    name = "products"
    operations = ("v2 /products",)
    primary_keys = ("id",)


class Pipelines(ListStream):
    """Pipelines; ``update_time`` is null until the first edit. GET /api/v2/pipelines."""

    name = "pipelines"
    operations = ("v2 /pipelines",)
    primary_keys = ("id",)


class Stages(ListStream):
    """Stages of all pipelines. GET /api/v2/stages."""

    name = "stages"
    operations = ("v2 /stages",)
    primary_keys = ("id",)
