"""Field definitions: v2 per entity, v1 for leads and notes."""

from __future__ import annotations

import msgspec

from pipedrive_simulator.account.fields import FieldDefinition
from pipedrive_simulator.account.records import Json
from pipedrive_simulator.operations import asking
from pipedrive_simulator.operations.asking import ApiError, Asked, refuse
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
# A note's field tells less than a lead's.
_NOTE_FIELD = {"id", "key", "name", "field_type", "active_flag", "edit_flag", "bulk_edit_allowed",
               "mandatory_flag", "options"}  # fmt: skip


def _render(entity: str, field: FieldDefinition, asked: Asked) -> bytes:
    value = field.as_v2()
    if entity != "deal":
        # The official schema has it for deals alone.
        del value["description"]
    parts = {name: _PARTS[entity][name] for name in asked.get("include_fields", ())}
    return msgspec.json.encode(value | parts)


def _list(entity: str) -> Operation:
    parts = _PARTS.get(entity)

    def answer(asked: Asked) -> bytes:
        fields = asked.account.fields[entity]
        rows = list(fields)
        _, _, marker = read_cursor(asked)
        first = 0 if marker is None else marker[1]
        if not isinstance(first, int):
            refuse("cursor", "is not valid")
        after = first + asked.limit()
        cursor = make_cursor("id", False, (after, after)) if after < len(rows) else None
        return v2_page([_render(entity, field, asked) for field in rows[first:after]], cursor)

    return Operation(
        f"get{entity.capitalize()}Fields", "v2", f"/{entity}Fields", 10, answer,
        PAGE_PARAMS | ({"include_fields": asking.some_of(*parts)} if parts else {}),
    )  # fmt: skip


def _one(entity: str) -> Operation:
    def answer(asked: Asked) -> bytes:
        fields = asked.account.fields[entity]
        for field in fields:
            if field.code == asked.path["field_code"]:
                return v2_one(_render(entity, field, asked))
        raise ApiError(404, "Field not found", "Object was not found.")

    return Operation(
        f"get{entity.capitalize()}Field", "v2", f"/{entity}Fields/{{field_code}}", 1, answer,
        {"include_fields": asking.some_of(*_PARTS[entity])},
    )  # fmt: skip


def _lead_fields(asked: Asked) -> bytes:
    added = asked.account.me().created
    return v1_page(asked, asked.account.lead_fields(), lambda field: field.as_v1(added))


def _note_fields(asked: Asked) -> bytes:
    added = asked.account.me().created

    def render(field: FieldDefinition) -> Json:
        return {name: value for name, value in field.as_v1(added).items() if name in _NOTE_FIELD}

    return v1_page(asked, asked.account.fields["note"].builtin, render)


OPERATIONS = (
    *(_list(entity) for entity in (*_PARTS, "project")),
    *(_one(entity) for entity in _PARTS),
    Operation("getLeadFields", "v1", "/leadFields", 20, _lead_fields, OFFSET_PARAMS),
    Operation("getNoteFields", "v1", "/noteFields", 20, _note_fields),
)
