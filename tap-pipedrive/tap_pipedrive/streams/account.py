"""Users, roles, permissions, teams, filters and webhooks."""

from __future__ import annotations

from collections.abc import Iterator

from tap_pipedrive.api.records import Record
from tap_pipedrive.streams.definition_streams import DefinitionStream


class Users(DefinitionStream):
    """Users of the company, inactive ones included. GET /api/v1/users (v2 has no list)."""

    name = "users"
    operations = ("v1 /users",)
    essential = True
    primary_keys = ("id",)


class Roles(DefinitionStream):
    """Roles (admin's token). GET /api/v1/roles."""

    name = "roles"
    operations = ("v1 /roles",)
    primary_keys = ("id",)
    selected_by_default = False


class RoleAssignments(DefinitionStream):
    """The users of each role. GET /api/v1/roles/{id}/assignments, a call for each role."""

    name = "role_assignments"
    operations = ("v1 /roles/{id}/assignments",)
    primary_keys = ("role_id", "user_id")
    selected_by_default = False

    def record_pages(self) -> Iterator[list[Record]]:
        """Read the roles, and the assignments of each."""
        for role in self.definitions(Roles):
            for page in self.parent_pages(role["id"]):
                yield [{"role_id": role["id"], **row} for row in page.records]


class PermissionSets(DefinitionStream):
    """Sets of permissions users are given. GET /api/v1/permissionSets."""

    name = "permission_sets"
    operations = ("v1 /permissionSets",)
    primary_keys = ("id",)
    selected_by_default = False


class Teams(DefinitionStream):
    """Teams (v1 only, deprecated without a successor). GET /api/v1/legacyTeams."""

    name = "teams"
    operations = ("v1 /legacyTeams",)
    primary_keys = ("id",)
    selected_by_default = False


class Filters(DefinitionStream):
    """Saved filters. GET /api/v1/filters."""

    name = "filters"
    operations = ("v1 /filters",)
    primary_keys = ("id",)
    selected_by_default = False


class Webhooks(DefinitionStream):
    """Webhooks of the account; their passwords never leave the tap. GET /api/v1/webhooks."""

    name = "webhooks"
    operations = ("v1 /webhooks",)
    primary_keys = ("id",)
    withheld = frozenset({"http_auth_user", "http_auth_password"})
    selected_by_default = False
