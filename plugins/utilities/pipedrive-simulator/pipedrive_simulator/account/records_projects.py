"""Projects (an add-on), boards, phases, tasks, templates. Instants have milliseconds and a Z."""

from __future__ import annotations

from typing import Any

import msgspec

from pipedrive_simulator.account.records import Record


class Project(Record, kw_only=True):
    """v2 `GET /projects`. `status` is open, completed, canceled or deleted."""

    title: str
    description: str | None = None
    status: str = "open"
    board_id: int
    phase_id: int
    owner_id: int
    start_date: str | None = None
    end_date: str | None = None
    deal_ids: list[int] = msgspec.field(default_factory=list)
    person_ids: list[int] = msgspec.field(default_factory=list)
    org_ids: list[int] = msgspec.field(default_factory=list)
    label_ids: list[int] = msgspec.field(default_factory=list)
    health_status: int | None = None
    add_time: str
    update_time: str
    status_change_time: str | None = None
    archive_time: str | None = None
    custom_fields: Any = None


class Board(Record, kw_only=True):
    """v2 `GET /boards`."""

    name: str
    order_nr: int
    add_time: str
    update_time: str | None = None


class Phase(Record, kw_only=True):
    """v2 `GET /phases`."""

    name: str
    board_id: int
    order_nr: int
    add_time: str
    update_time: str | None = None


class Task(Record, kw_only=True):
    """v2 `GET /tasks`."""

    title: str
    creator_id: int
    description: str | None = None
    project_id: int
    is_done: bool = False
    is_milestone: bool = False
    due_date: str | None = None
    start_date: str | None = None
    parent_task_id: int | None = None
    assignee_ids: list[int] = msgspec.field(default_factory=list)
    priority: int | None = None
    add_time: str
    update_time: str
    marked_as_done_time: str | None = None


class ProjectTemplate(Record, kw_only=True):
    """v2 `GET /projectTemplates`."""

    title: str
    description: str | None = None
    projects_board_id: int
    owner_id: int
    add_time: str
    update_time: str
