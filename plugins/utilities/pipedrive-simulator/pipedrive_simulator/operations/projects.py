"""Projects, live and archived, with their boards, phases, tasks and templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Keep, Operation, v2_list
from pipedrive_simulator.operations.query_params import Parser, Request

STATUSES = ("open", "completed", "canceled", "deleted")


def _visible(request: Request) -> Keep:
    """Return the filter of the status parameter; without it, all projects except deleted ones."""
    wanted = request.get("status") or STATUSES[:-1]
    return lambda project: project.status in wanted


def _holds(name: str) -> Callable[[Request, int], Keep]:
    """Select by an id in a list of ids."""
    return lambda request, wanted: lambda record: wanted in getattr(record, name)


def _projects(op_id: str, path: str, list_name: str, **select: str) -> Operation:
    return v2_list(
        op_id, path, cost=10, table="projects", list_name=list_name, sorts=(), visible=_visible,
        equals={"phase_id": query_params.integer},
        select={name: _holds(of) for name, of in select.items()},
        more_params={"status": query_params.some_of(*STATUSES), "filter_id": query_params.integer},
    )  # fmt: skip


def _whole(table: str, choose: Callable[[Request], list[Any]]) -> Callable[[Request], bytes]:
    """Return an answer function: some records of a table, without paging."""

    def answer(request: Request) -> bytes:
        encode = request.account.table(table).encode
        parts = [encode(record) for record in choose(request)]
        return b'{"success":true,"data":[%b],"additional_data":null}' % b",".join(parts)

    return answer


def _parent(values: list[str]) -> int | None:
    """Read the id of a task, or `null` for tasks without a parent."""
    return None if values[-1] == "null" else query_params.integer(values)


_TASK_EQUALS: dict[str, Parser] = {
    "is_done": query_params.boolean,
    "is_milestone": query_params.boolean,
    "project_id": query_params.integer,
    "parent_task_id": _parent,
}


def _phases(request: Request) -> list[Any]:
    return request.account.phases.group(request.required("board_id"))


OPERATIONS = (
    _projects("getProjects", "/projects", "live", deal_id="deal_ids", person_id="person_ids",
              org_id="org_ids"),
    _projects("getArchivedProjects", "/projects/archived", "archived"),
    Operation("getProjectsBoards", "v2", "/boards", 10,
              _whole("boards", lambda request: list(request.account.boards.records.values()))),
    Operation("getProjectsPhases", "v2", "/phases", 10, _whole("phases", _phases),
              {"board_id": query_params.integer}),
    v2_list("getTasks", "/tasks", cost=10, table="tasks", sorts=(), equals=_TASK_EQUALS,
            select={"assignee_id": _holds("assignee_ids")}),
    v2_list("getProjectTemplates", "/projectTemplates", cost=10, table="project_templates",
            sorts=()),
)  # fmt: skip
