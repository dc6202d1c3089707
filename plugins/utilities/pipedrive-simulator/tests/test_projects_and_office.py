"""Projects with boards, phases and tasks, and the lists of an administrator."""

from __future__ import annotations

from typing import Any

import pytest
from simulator_helpers import NOW, Caller

PROJECTS, TASKS = "/api/v2/projects", "/api/v2/tasks"


def test_projects_are_live_archived_or_deleted(big: Caller) -> None:
    live, archived = big.all(PROJECTS), big.all(f"{PROJECTS}/archived")
    deleted = big.all(PROJECTS, status="deleted")
    assert live
    assert archived
    assert {p["archive_time"] for p in live} == {None}
    assert None not in {p["archive_time"] for p in archived}
    assert "deleted" not in {p["status"] for p in live}
    assert {p["status"] for p in deleted} == {"deleted"}
    assert len(live) + len(archived) + len(deleted) == len(big.account.projects)
    assert all(p["update_time"][:19] <= NOW[:19] for p in live + archived)
    keys = list(big.account.fields["project"].keys())
    assert all(list(p["custom_fields"]) == keys for p in live)


@pytest.mark.parametrize(
    ("parameter", "of"),
    [("phase_id", "phase_id"), ("deal_id", "deal_ids"), ("person_id", "person_ids"),
     ("org_id", "org_ids"), ("status", "status")],
)  # fmt: skip
def test_projects_can_be_selected(big: Caller, parameter: str, of: str) -> None:
    everything = big.all(PROJECTS)
    found = next(p[of] for p in everything if p[of])
    wanted = found[0] if isinstance(found, list) else found
    expected = [p["id"] for p in everything if wanted in (p[of], *_list(p[of]))]
    assert [p["id"] for p in big.all(PROJECTS, **{parameter: wanted})] == expected


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def test_phases_belong_to_boards(big: Caller) -> None:
    phases = {}
    for board in big.get("/api/v2/boards")["data"]:
        found = big.get("/api/v2/phases", board_id=board["id"])["data"]
        assert {phase["board_id"] for phase in found} == {board["id"]}
        phases |= {phase["id"]: board["id"] for phase in found}
    assert big.reply("/api/v2/phases").status == 400
    assert all(phases[p["phase_id"]] == p["board_id"] for p in big.all(PROJECTS))


def test_tasks_can_be_selected(big: Caller) -> None:
    everything = big.all(TASKS, limit=500)
    roots = big.all(TASKS, limit=500, parent_task_id="null")
    child = next(task for task in everything if task["parent_task_id"] is not None)
    assert 0 < len(roots) < len(everything)
    assert child in big.all(TASKS, parent_task_id=child["parent_task_id"])
    done = big.all(TASKS, limit=500, is_done="true")
    assert done == [task for task in everything if task["is_done"]]
    assert all(task["marked_as_done_time"] for task in done)
    mine = big.all(TASKS, limit=500, assignee_id=child["assignee_ids"][0], is_milestone="false")
    assert child in mine
    assert not any(task["is_milestone"] for task in mine)


def test_projects_have_pages(big: Caller) -> None:
    pages = list(big.walk(PROJECTS, limit=3))
    assert [p for page in pages for p in page] == big.all(PROJECTS, limit=500)
    assert len(pages) > 2


def test_project_fields_have_options_and_can_be_added(caller: Caller) -> None:
    caller.account.add_field("project", "Região", "varchar")
    fields = caller.all("/api/v2/projectFields", limit=7)
    custom = [field for field in fields if field["is_custom_field"]]
    assert [field["field_name"] for field in custom] == [
        "Complexidade", "Horas contratadas", "Região",
    ]  # fmt: skip
    assert len(caller.all(PROJECTS)[0]["custom_fields"]) == 3


def test_products_have_variations(big: Caller) -> None:
    product = next(iter(big.account.product_variations.records.values())).product_id
    path = f"/api/v2/products/{product}/variations"
    found = big.all(path)
    assert len(found) == 2
    assert big.all(path, limit=1) == found
    assert big.reply("/api/v2/products/999/variations").status == 404


def test_permission_sets_and_roles_list_their_users(big: Caller) -> None:
    sets = big.get("/v1/permissionSets")["data"]
    for one in sets:
        found = big.get(f"/v1/permissionSets/{one['id']}/assignments")["data"] or []
        assert one["assignment_count"] == len(found) > 0
    assert big.get("/v1/permissionSets", app="projects")["data"] == []
    assert big.reply("/v1/permissionSets/none/assignments").status == 404
    (role,) = big.get("/v1/roles")["data"]
    found = big.get("/v1/roles/1/assignments")["data"]
    assert len(found) == int(role["assignment_count"])
    assert big.reply("/v1/roles/2/assignments").status == 404


def test_teams_and_webhooks_are_listed(big: Caller) -> None:
    names = [team["name"] for team in big.get("/v1/legacyTeams", order_by="name")["data"]]
    assert names == sorted(names)
    assert "users" not in big.get("/v1/legacyTeams", skip_users=1)["data"][0]
    body = big.get("/v1/webhooks")
    assert body["status"] == "ok"
    assert any(hook["http_auth_password"] for hook in body["data"])


def test_notes_have_comments(caller: Caller) -> None:
    comment = next(iter(caller.account.note_comments.records.values()))
    path = f"/v1/notes/{comment.note_id}/comments"
    found = caller.get(path)["data"]
    assert comment.id in {row["uuid"] for row in found}
    assert {row["object_id"] for row in found} == {str(comment.note_id)}
    caller.account.delete_note(comment.note_id)
    assert caller.reply(path).status == 404
