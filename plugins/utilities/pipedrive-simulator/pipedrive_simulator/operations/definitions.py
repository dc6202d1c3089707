"""Field definitions: v2 per entity, v1 for leads and notes."""

from __future__ import annotations

import msgspec

from pipedrive_simulator.account.fields import FieldDefinition
from pipedrive_simulator.account.records import Json
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation
from pipedrive_simulator.operations.paging import (
    OFFSET_PARAMS,
    PAGE_PARAMS,
    make_cursor,
    read_cursor,
    v1_page,
    v2_one,
    v2_page,
)
from pipedrive_simulator.operations.query_params import ApiError, Request, refuse

_UI: Json = {"add_visible_flag": True, "details_visible_flag": True}
_IN_PIPELINES = {"show_in_all": True, "pipeline_ids": []}
# Parts of a definition that are returned only when `include_fields` names them, by entity.
_PARTS: dict[str, Json] = {
    "deal": {
        "ui_visibility": {
            **_UI, "projects_detail_visible_flag": False, "show_in_pipelines": _IN_PIPELINES,
        },
        "important_fields": {"enabled": False, "stage_ids": []},
        "required_fields": {"enabled": False, "stage_ids": [], "statuses": {}},
    },
    "person": {
        "ui_visibility": {**_UI, "show_in_add_deal_dialog": {"show": False, "order": None}},
        "important_fields": {"enabled": False, "stage_ids": []},
        "required_fields": {"enabled": False},
    },
    "product": {"ui_visibility": _UI},
    "activity": {"ui_visibility": _UI},
}  # fmt: skip
_PARTS["organization"] = _PARTS["person"]
# A note's field has fewer properties than a lead's.
_NOTE_FIELD = {"id", "key", "name", "field_type", "active_flag", "edit_flag", "bulk_edit_allowed",
               "mandatory_flag", "options"}  # fmt: skip


def _render(entity: str, field: FieldDefinition, request: Request) -> bytes:
    value = field.as_v2()
    if entity != "deal":
        # In the official schema only deals have it.
        del value["description"]
    parts = {name: _PARTS[entity][name] for name in request.get("include_fields", ())}
    return msgspec.json.encode(value | parts)


def _list(entity: str) -> Operation:
    parts = _PARTS.get(entity)

    def answer(request: Request) -> bytes:
        fields = request.account.fields[entity]
        rows = list(fields)
        _, _, marker = read_cursor(request)
        first = 0 if marker is None else marker[1]
        if not isinstance(first, int):
            refuse("cursor", "is not valid")
        after = first + request.limit()
        cursor = make_cursor("id", False, (after, after)) if after < len(rows) else None
        return v2_page([_render(entity, field, request) for field in rows[first:after]], cursor)

    return Operation(
        f"get{entity.capitalize()}Fields", "v2", f"/{entity}Fields", 10, answer,
        PAGE_PARAMS | ({"include_fields": query_params.some_of(*parts)} if parts else {}),
    )  # fmt: skip


def _one(entity: str) -> Operation:
    def answer(request: Request) -> bytes:
        fields = request.account.fields[entity]
        for field in fields:
            if field.code == request.path["field_code"]:
                return v2_one(_render(entity, field, request))
        raise ApiError(404, "Field not found", "Object was not found.")

    return Operation(
        f"get{entity.capitalize()}Field", "v2", f"/{entity}Fields/{{field_code}}", 1, answer,
        {"include_fields": query_params.some_of(*_PARTS[entity])},
    )  # fmt: skip


def _lead_fields(request: Request) -> bytes:
    added = request.account.me().created
    return v1_page(request, request.account.lead_fields(), lambda field: field.as_v1(added))


def _note_fields(request: Request) -> bytes:
    added = request.account.me().created

    def render(field: FieldDefinition) -> Json:
        return {name: value for name, value in field.as_v1(added).items() if name in _NOTE_FIELD}

    return v1_page(request, request.account.fields["note"].builtin, render)


OPERATIONS = (
    *(_list(entity) for entity in (*_PARTS, "project")),
    *(_one(entity) for entity in _PARTS),
    Operation("getLeadFields", "v1", "/leadFields", 20, _lead_fields, OFFSET_PARAMS),
    Operation("getNoteFields", "v1", "/noteFields", 20, _note_fields),
)
