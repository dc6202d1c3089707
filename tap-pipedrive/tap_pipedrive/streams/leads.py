"""Leads, their labels and their sources."""

from __future__ import annotations

from tap_pipedrive.errors import CursorExpiredError, TapError
from tap_pipedrive.settings import ARCHIVED_INTERVAL
from tap_pipedrive.streams.definition_streams import DefinitionStream
from tap_pipedrive.streams.stream_types import IncrementalStream, read_newest_first


class Leads(IncrementalStream):
    """Live and archived leads. GET /api/v1/leads and /api/v1/leads/archived.

    The archived list has no filter by time and costs twice as much: it is read newest first, down
    to its bookmark. Leads have the custom fields of deals as flat v1 keys, which go into
    ``_extra``.
    """

    name = "leads"
    operations = ("v1 /leads", "v1 /leads/archived")
    primary_keys = ("id",)
    lists = {"live": "v1 /leads"}
    intervals = {"v1 /leads/archived": ARCHIVED_INTERVAL}
    references = {
        "owner_id": "users", "creator_id": "users", "label_ids": "lead_labels",
        "source_name": "lead_sources",
    }  # fmt: skip
    fields_stream = "deal_fields"

    def scan_finished(self) -> None:
        """Stay open: the archived list is still to be read."""

    def read(self) -> None:
        """Scan the live list by update time, then read the archived one newest first."""
        super().read()
        if not self.result.is_open:
            return
        archived = {"list": "archived"}
        try:
            read_newest_first(self, "v1 /leads/archived", archived)
        except TapError as error:
            if not error.concerns_stream or isinstance(error, CursorExpiredError):
                raise
            self.end(error, archived)


class LeadLabels(DefinitionStream):
    """Labels of leads. GET /api/v1/leadLabels."""

    name = "lead_labels"
    operations = ("v1 /leadLabels",)
    primary_keys = ("id",)


class LeadSources(DefinitionStream):
    """Where leads come from. GET /api/v1/leadSources."""

    name = "lead_sources"
    operations = ("v1 /leadSources",)
    primary_keys = ("name",)
