"""Who changed which field of a record, when, and from what to what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tap_pipedrive.api.records import Record
from tap_pipedrive.history import read_log
from tap_pipedrive.state.references import Name, field_code, values_of
from tap_pipedrive.streams.stream_types import PerRecord


class ChangeLog(PerRecord):
    """The log of every updated record of the parent, whole, at 20 tokens each.

    The API gives its rows no id: ``id`` is a hash that survives re-reads, ``second_seq`` tells
    apart and orders the changes of one record within one second, oldest first.
    """

    primary_keys = ("id",)
    replication_key = "time"
    references = {"actor_user_id": "users"}
    #: The stream that holds what the values of a changed field name, by field.
    values_name: ClassVar[Mapping[str, str]] = {
        "stage_id": "stages", "pipeline_id": "pipelines", "user_id": "users",
        "owner_id": "users",
    }  # fmt: skip

    def names_used(self, records: list[Any]) -> Iterator[tuple[str, set[Name]]]:
        """Yield also what a field was changed from and to, and which custom field it is."""
        yield from super().names_used(records)
        for field, stream in self.values_name.items():
            rows = [record for record in records if record.get("field_key") == field]
            values = values_of(rows, "old_value") | values_of(rows, "new_value")
            yield stream, {int(v) for v in values if str(v).isdecimal()}
        keys = (record.get("field_key") for record in records)
        found = (field_code(key) for key in keys if isinstance(key, str))
        yield self.fields_stream or "", {code for code in found if code}

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
    fields_stream = "person_fields"
    more_properties = {"id": "string", "person_id": "integer", "second_seq": "integer"}


class OrganizationChangelog(ChangeLog):
    """GET /api/v1/organizations/{id}/changelog."""

    name = "organization_changelog"
    operations = ("v1 /organizations/{id}/changelog",)
    parent = "organizations"
    parent_key = "organization_id"
    fields_stream = "organization_fields"
    more_properties = {"id": "string", "organization_id": "integer", "second_seq": "integer"}
