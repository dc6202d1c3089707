"""Roles, permission sets, teams and webhooks."""

from __future__ import annotations

from pipedrive_simulator.account.records import Json
from pipedrive_simulator.account.records_v1 import PermissionSet, Team, User
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation, existing, not_found
from pipedrive_simulator.operations.paging import OFFSET_PARAMS, v1_body, v1_page
from pipedrive_simulator.operations.query_params import Request
from pipedrive_simulator.operations.settings import as_is

APPS = ("sales", "projects", "campaigns", "global", "account_settings", "partnership", "nova")


def _role_assignments(request: Request) -> bytes:
    role = existing(request, "roles", "role")

    def render(user: User) -> Json:
        return {
            "user_id": user.id, "role_id": role.id, "parent_role_id": role.parent_role_id,
            "name": role.name, "active_flag": user.active_flag, "type": "1",
        }  # fmt: skip

    users = [user for user in request.account.users.records.values() if user.role_id == role.id]
    return v1_page(request, users, render)


def _holders(request: Request, permission_set: PermissionSet) -> list[User]:
    return [
        user
        for user in request.account.users.records.values()
        if any(entry["permission_set_id"] == permission_set.id for entry in user.access)
    ]


def _permission_sets(request: Request) -> bytes:
    return v1_body(
        [
            as_is(one) | {"assignment_count": len(_holders(request, one))}
            for one in request.account.permission_sets.records.values()
            if request.get("app", one.app) == one.app
        ]
    )


def _permission_set_assignments(request: Request) -> bytes:
    found = request.account.permission_sets.get(request.path["id"])
    if found is None:
        not_found("permission set")

    def render(user: User) -> Json:
        return {"user_id": user.id, "permission_set_id": found.id, "name": found.name}

    return v1_page(request, _holders(request, found), render)


def _teams(request: Request) -> bytes:
    order = request.get("order_by", "id")
    hidden = {"users"} if request.get("skip_users") == "1" else set()

    def render(team: Team) -> Json:
        return {name: value for name, value in as_is(team).items() if name not in hidden}

    teams = sorted(request.account.teams.records.values(), key=lambda team: getattr(team, order))
    return v1_body([render(team) for team in teams])


def _webhooks(request: Request) -> bytes:
    hooks = [as_is(hook) for hook in request.account.webhooks.records.values()]
    return v1_body(hooks, status="ok")


OPERATIONS = (
    Operation("getRoleAssignments", "v1", "/roles/{id}/assignments", 10, _role_assignments,
              OFFSET_PARAMS),
    Operation("getPermissionSets", "v1", "/permissionSets", 20, _permission_sets,
              {"app": query_params.one_of(*APPS)}),
    Operation("getPermissionSetAssignments", "v1", "/permissionSets/{id}/assignments", 20,
              _permission_set_assignments, OFFSET_PARAMS),
    Operation("getTeams", "v1", "/legacyTeams", 20, _teams,
              {"order_by": query_params.one_of("id", "name", "manager_id", "active_flag"),
               "skip_users": query_params.one_of("0", "1")}),
    Operation("getWebhooks", "v1", "/webhooks", 10, _webhooks),
)  # fmt: skip
