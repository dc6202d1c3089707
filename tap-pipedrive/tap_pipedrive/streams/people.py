"""Persons, organizations, and the relationships between organizations."""

from __future__ import annotations

from collections.abc import Iterator

from tap_pipedrive.api.records import Record
from tap_pipedrive.streams.changelogs import ChangeLog
from tap_pipedrive.streams.stream_types import FullTableStream, IncrementalStream


class Persons(IncrementalStream):
    """Persons. GET /api/v2/persons."""

    name = "persons"
    operations = ("v2 /persons",)
    primary_keys = ("id",)
    references = {"owner_id": "users"}
    fields_stream = "person_fields"


class PersonChangelog(ChangeLog):
    """One change of one field of one person. GET /api/v1/persons/{id}/changelog."""

    name = "person_changelog"
    operations = ("v1 /persons/{id}/changelog",)
    parent = "persons"
    parent_key = "person_id"
    fields_stream = "person_fields"
    more_properties = {"id": "string", "person_id": "integer", "second_seq": "integer"}


class Organizations(IncrementalStream):
    """Organizations. GET /api/v2/organizations."""

    name = "organizations"
    operations = ("v2 /organizations",)
    primary_keys = ("id",)
    references = {"owner_id": "users"}
    fields_stream = "organization_fields"


class OrganizationChangelog(ChangeLog):
    """One change of one field of one organization. GET /api/v1/organizations/{id}/changelog."""

    name = "organization_changelog"
    operations = ("v1 /organizations/{id}/changelog",)
    parent = "organizations"
    parent_key = "organization_id"
    fields_stream = "organization_fields"
    more_properties = {"id": "string", "organization_id": "integer", "second_seq": "integer"}


class OrganizationRelationships(FullTableStream):
    """Parent and related companies. GET /api/v1/organizationRelationships, per organization.

    The operation needs an organization: a call for each one, so it is off by default.
    """

    name = "organization_relationships"
    operations = ("v1 /organizationRelationships",)
    primary_keys = ("id",)
    selected_by_default = False
    more_properties = {"rel_owner_org_id": "integer", "rel_linked_org_id": "integer"}
    # They describe the view of the organization in the request, and both ends are requested.
    withheld = frozenset(
        {"calculated_type", "calculated_related_org_id", "related_organization_name"}
    )

    def record_pages(self) -> Iterator[list[Record]]:
        """Read the relationships of every organization; keep those of the owning end."""
        for organizations in self.pages(Organizations.list_operation()):
            for organization in organizations.records:
                of = organization["id"]
                for page in self.parent_pages(of, path=False, query={"org_id": of}):
                    rows = [self._unwrapped(row) for row in page.records]
                    yield [row for row in rows if row.get("rel_owner_org_id") == of]

    @staticmethod
    def _unwrapped(row: Record) -> Record:
        for name in ("rel_owner_org_id", "rel_linked_org_id"):
            if isinstance(row.get(name), dict):
                row[name] = row[name].get("value")
        return row
