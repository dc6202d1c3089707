"""Who may do what, who works together, and who listens: roles, permission sets, teams, webhooks."""

from __future__ import annotations

from pipedrive_simulator.account.records import Json
from pipedrive_simulator.account.records_v1 import PermissionSet, Team, User
from pipedrive_simulator.operations import asking
from pipedrive_simulator.operations.asking import Asked
from pipedrive_simulator.operations.operation import Operation, existing, not_found
from pipedrive_simulator.operations.paging import OFFSET_PARAMS, v1_body, v1_page
from pipedrive_simulator.operations.settings import as_is

APPS = ("sales", "projects", "campaigns", "global", "account_settings", "partnership", "nova")


def _role_assignments(asked: Asked) -> bytes:
    role = existing(asked, "roles", "role")

    def render(user: User) -> Json:
        return {
            "user_id": user.id, "role_id": role.id, "parent_role_id": role.parent_role_id,
            "name": role.name, "active_flag": user.active_flag, "type": "1",
        }  # fmt: skip

    users = [user for user in asked.account.users.records.values() if user.role_id == role.id]
    return v1_page(asked, users, render)


def _holders(asked: Asked, permission_set: PermissionSet) -> list[User]:
    return [
        user
        for user in asked.account.users.records.values()
        if any(entry["permission_set_id"] == permission_set.id for entry in user.access)
    ]


def _permission_sets(asked: Asked) -> bytes:
    return v1_body(
        [
            as_is(one) | {"assignment_count": len(_holders(asked, one))}
            for one in asked.account.permission_sets.records.values()
            if asked.get("app", one.app) == one.app
        ]
    )


def _permission_set_assignments(asked: Asked) -> bytes:
    found = asked.account.permission_sets.get(asked.path["id"])
    if found is None:
        not_found("permission set")

    def render(user: User) -> Json:
        return {"user_id": user.id, "permission_set_id": found.id, "name": found.name}

    return v1_page(asked, _holders(asked, found), render)


def _teams(asked: Asked) -> bytes:
    order = asked.get("order_by", "id")
    hidden = {"users"} if asked.get("skip_users") == "1" else set()

    def render(team: Team) -> Json:
        return {name: value for name, value in as_is(team).items() if name not in hidden}

    teams = sorted(asked.account.teams.records.values(), key=lambda team: getattr(team, order))
    return v1_body([render(team) for team in teams])


def _webhooks(asked: Asked) -> bytes:
    hooks = [as_is(hook) for hook in asked.account.webhooks.records.values()]
    return v1_body(hooks, status="ok")


OPERATIONS = (
    Operation("getRoleAssignments", "v1", "/roles/{id}/assignments", 10, _role_assignments,
              OFFSET_PARAMS),
    Operation("getPermissionSets", "v1", "/permissionSets", 20, _permission_sets,
              {"app": asking.one_of(*APPS)}),
    Operation("getPermissionSetAssignments", "v1", "/permissionSets/{id}/assignments", 20,
              _permission_set_assignments, OFFSET_PARAMS),
    Operation("getTeams", "v1", "/legacyTeams", 20, _teams,
              {"order_by": asking.one_of("id", "name", "manager_id", "active_flag"),
               "skip_users": asking.one_of("0", "1")}),
    Operation("getWebhooks", "v1", "/webhooks", 10, _webhooks),
)  # fmt: skip
