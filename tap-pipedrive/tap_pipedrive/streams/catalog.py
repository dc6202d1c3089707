"""Products, pipelines, stages, currencies and activity types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tap_pipedrive.api.records import Record
from tap_pipedrive.settings import DEFINITIONS_INTERVAL
from tap_pipedrive.state.references import Name
from tap_pipedrive.streams.definition_streams import DefinitionStream
from tap_pipedrive.streams.stream_types import ChildStream, IncrementalStream


class Products(IncrementalStream):
    """Products with their prices. GET /api/v2/products."""

    name = "products"
    operations = ("v2 /products",)
    primary_keys = ("id",)
    intervals = {"v2 /products": DEFINITIONS_INTERVAL}
    references = {"owner_id": "users"}
    fields_stream = "product_fields"

    def emit(self, records: list[Record]) -> None:
        """Write a page, and note the largest id: a larger one belongs to a new product."""
        super().emit(records)
        self._note_largest(record.get("id") for record in records)

    @property
    def can_look_up(self) -> bool:
        """Whether products were read before."""
        return "largest_id" in self.stream_state

    def look_up(self, names: set[Name]) -> None:
        """Become due if an id is larger than any id that was read."""
        if unknown := self._larger(names, self.stream_state["largest_id"]):
            self.want(unknown)

    def scan_finished(self) -> None:
        """Stay due if records refer to a product that was added during the scan."""
        if self._larger(self.wanted, self.stream_state.setdefault("largest_id", 0)):
            self._note_largest(self.wanted)
            self.stream_state.pop("read_at", None)
        self.wanted.clear()
        super().scan_finished()

    @staticmethod
    def _larger(names: set[Name], largest: int) -> set[Name]:
        return {name for name in names if isinstance(name, int) and name > largest}

    def _note_largest(self, ids: Iterable[Any]) -> None:
        known = self.stream_state.get("largest_id")
        largest = max((n for n in ids if isinstance(n, int)), default=None)
        if largest is not None and largest > (known or 0):
            self.stream_state["largest_id"] = largest


class ProductVariations(ChildStream):
    """Variations of a product. GET /api/v2/products/{id}/variations."""

    name = "product_variations"
    operations = ("v2 /products/{id}/variations",)
    primary_keys = ("id",)
    parent = "products"
    parent_key = "product_id"


class Pipelines(DefinitionStream):
    """Pipelines; ``update_time`` is null until the first edit. GET /api/v2/pipelines."""

    name = "pipelines"
    operations = ("v2 /pipelines",)
    essential = True
    primary_keys = ("id",)


class Stages(DefinitionStream):
    """Stages of all pipelines. GET /api/v2/stages."""

    name = "stages"
    operations = ("v2 /stages",)
    essential = True
    primary_keys = ("id",)


class Currencies(DefinitionStream):
    """Currencies the account may use. GET /api/v1/currencies."""

    name = "currencies"
    operations = ("v1 /currencies",)
    primary_keys = ("id",)
    named_by = "code"


class ActivityTypes(DefinitionStream):
    """Kinds of activities. GET /api/v1/activityTypes."""

    name = "activity_types"
    operations = ("v1 /activityTypes",)
    primary_keys = ("id",)
    named_by = "key_string"
