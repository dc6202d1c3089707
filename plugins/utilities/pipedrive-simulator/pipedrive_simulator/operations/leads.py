"""Leads, live and archived, and notes: v1, offset paging, sorting by any listed property."""

from __future__ import annotations

from typing import Any

import msgspec

from pipedrive_simulator.account.records import Json
from pipedrive_simulator.account.records_v1 import Lead
from pipedrive_simulator.clock import millis, naive
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation
from pipedrive_simulator.operations.paging import OFFSET_PARAMS, sort_rows, v1_page
from pipedrive_simulator.operations.query_params import Parser, Request
from pipedrive_simulator.operations.settings import as_is

_LEAD_SORTS = ("id", "title", "owner_id", "creator_id", "was_seen", "expected_close_date",
               "next_activity_id", "add_time", "update_time")  # fmt: skip
_LEAD_FILTERS = ("owner_id", "person_id", "organization_id")
_NOTE_FILTERS = ("user_id", "deal_id", "person_id", "org_id", "project_id", "task_id")
_NOTE_SORTS = ("id", "user_id", "deal_id", "org_id", "person_id", "content", "add_time",
               "update_time")  # fmt: skip
_PINS = tuple(
    f"pinned_to_{what}_flag"
    for what in ("lead", "deal", "organization", "person", "project", "task")
)


def render_lead(lead: Lead) -> Json:
    """Render a lead: set custom fields as flat v1 keys, unset ones absent."""
    custom, lead_values = lead.custom_fields, {}
    for name in Lead.__struct_fields__:
        if name != "custom_fields":
            lead_values[name] = getattr(lead, name)
    value: Json = msgspec.to_builtins(lead_values)
    for key, content in (custom.values if custom is not None else {}).items():
        if isinstance(content, dict):
            for part, part_value in content.items():
                value[key if part == "value" else f"{key}_{part}"] = part_value
        elif isinstance(content, list):
            value[key] = ",".join(str(item) for item in content)
        else:
            # Options are text in v1.
            value[key] = str(content) if isinstance(content, int) else content
    return value


def _leads(list_archived: bool) -> Any:
    def answer(request: Request) -> bytes:
        wanted = {n: request.query[n] for n in _LEAD_FILTERS if n in request.query}
        since = millis(request.query["updated_since"]) if "updated_since" in request.query else ""
        rows = [
            lead
            for lead in request.account.leads.records.values()
            if lead.is_archived is list_archived
            and lead.update_time >= since
            and all(getattr(lead, name) == value for name, value in wanted.items())
        ]
        return v1_page(request, sort_rows(rows, request.get("sort"), _LEAD_SORTS), render_lead)

    params: dict[str, Parser] = {
        **OFFSET_PARAMS, **dict.fromkeys((*_LEAD_FILTERS, "filter_id"), query_params.integer),
        "sort": query_params.text,
    }  # fmt: skip
    if not list_archived:
        params["updated_since"] = query_params.instant
    return answer, params


def _notes(request: Request) -> bytes:
    query = request.query
    wanted = {n: query[n] for n in (*_NOTE_FILTERS, "lead_id") if n in query}
    wanted |= {n: bool(query[n]) for n in _PINS if n in query}
    since = naive(query["updated_since"]) if "updated_since" in query else ""
    first, last = query.get("start_date", ""), query.get("end_date", "9999-12-31")
    rows = [
        note
        for note in request.account.notes.records.values()
        if note.active_flag
        and (not since or (note.update_time or "") >= since)
        and first <= note.add_time[:10] <= last
        and all(getattr(note, name) == value for name, value in wanted.items())
    ]
    return v1_page(request, sort_rows(rows, request.get("sort"), _NOTE_SORTS), as_is)


_NOTE_PARAMS: dict[str, Parser] = {
    **OFFSET_PARAMS, **dict.fromkeys((*_NOTE_FILTERS, *_PINS), query_params.integer),
    "lead_id": query_params.text, "sort": query_params.text,
    "start_date": query_params.day, "end_date": query_params.day,
    "updated_since": query_params.instant,
}  # fmt: skip

OPERATIONS = (
    Operation("getLeads", "v1", "/leads", 20, *_leads(False)),
    Operation("getArchivedLeads", "v1", "/leads/archived", 40, *_leads(True)),
    Operation("getNotes", "v1", "/notes", 20, _notes, _NOTE_PARAMS),
)
