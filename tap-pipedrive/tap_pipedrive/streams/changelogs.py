"""Who changed which field of a record, when, and from what to what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tap_pipedrive.history import read_log
from tap_pipedrive.records import Record
from tap_pipedrive.streams.kinds import PerRecord


class ChangeLog(PerRecord):
    """The log of every updated record of the parent, whole, at 20 tokens each.

    The API gives its rows no id: ``id`` is a hash that survives re-reads, ``second_seq`` tells
    apart and orders the changes of one record within one second, oldest first.
    """

    primary_keys = ("id",)
    replication_key = "time"

    def rows_of(self, parent_id: Any) -> Iterator[list[Record]]:
        """Read one record's log to its end and number its rows."""
        rows, _, error = read_log(self, self.list_operation(), self.parent_key, parent_id)
        if rows or error is None:
            yield rows
        if error is not None:
            raise error


class PersonChangelog(ChangeLog):
    """GET /api/v1/persons/{id}/changelog."""

    name = "person_changelog"
    operations = ("v1 /persons/{id}/changelog",)
    parent = "persons"
    parent_key = "person_id"
    more_properties = {"id": "string", "person_id": "integer", "second_seq": "integer"}


class OrganizationChangelog(ChangeLog):
    """GET /api/v1/organizations/{id}/changelog."""

    name = "organization_changelog"
    operations = ("v1 /organizations/{id}/changelog",)
    parent = "organizations"
    parent_key = "organization_id"
    more_properties = {"id": "string", "organization_id": "integer", "second_seq": "integer"}
