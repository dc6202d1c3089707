"""History of records: changelogs of deals, persons and organizations, and a deal's flow."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import msgspec

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.changelog import Change
from pipedrive_simulator.account.records import Deal, Json
from pipedrive_simulator.clock import naive
from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation
from pipedrive_simulator.operations.paging import (
    OFFSET_PARAMS,
    PAGE_PARAMS,
    decode_base64,
    v1_page,
    v2_page,
)
from pipedrive_simulator.operations.query_params import ApiError, Request, refuse

_AGENT = "Mozilla/5.0 (X11; Linux x86_64) simulator"
_SUMMARY = ("id", "title", "status", "value", "currency", "stage_id", "pipeline_id")


class _Row(msgspec.Struct):
    """One row of a changelog as it is served: instants naive, values text."""

    field_key: str
    old_value: str | None
    new_value: str | None
    actor_user_id: int
    time: str
    change_source: str
    change_source_user_agent: str
    is_bulk_update_flag: bool


def _render(row: Change) -> bytes:
    return msgspec.json.encode(
        _Row(row.field_key, row.old_value, row.new_value, row.actor_user_id, naive(row.time),
             row.source, _AGENT, row.is_bulk)
    )  # fmt: skip


def _changelog(entity: str, table: str) -> Operation:
    """Declare a changelog, newest first; the cursor is the number of the next page's first row."""

    def answer(request: Request) -> bytes:
        number = request.record_id()
        if request.account.table(table).get(number) is None or request.account.is_purged(
            entity, number
        ):
            raise ApiError(404, f"{entity.capitalize()} not found", "Object was not found.")
        rows = request.account.logs[entity].rows(number)[::-1]
        cursor = request.get("cursor")
        if cursor is not None:
            first = _row_number(cursor)
            rows = [row for row in rows if row.number <= first]
        limit = request.limit()
        following = None
        if len(rows) > limit:
            following = base64.b64encode(f"id:{rows[limit].number}".encode()).decode().rstrip("=")
        return v2_page([_render(row) for row in rows[:limit]], following)

    return Operation(
        f"get{entity.capitalize()}Changelog", "v1", f"/{table}/{{id}}/changelog", 20, answer,
        dict(PAGE_PARAMS),
    )  # fmt: skip


def _row_number(cursor: str) -> int:
    name, _, number = decode_base64(cursor).decode("utf-8", "replace").partition(":")
    try:
        if name == "id":
            return int(number)
    except ValueError:
        pass
    refuse("cursor", "is not valid")


def _flow(request: Request) -> bytes:
    """Return the deal's changes and activities; creation is a change of `add_time`."""
    account = request.account
    deal = account.deals.get(request.record_id())
    if deal is None or account.is_purged("deal", deal.id):
        raise ApiError(404, "Deal not found", "Object was not found.")
    wanted = request.get("items")
    every = request.get("all_changes") == "1"
    items = [
        item
        for item in (*_changes(account, deal, every), *_activities(account, deal))
        if wanted is None or item["object"] in wanted
    ]
    items.sort(key=lambda item: (item["timestamp"], item["data"]["id"]), reverse=True)
    owner = account.users.get(deal.owner_id)
    related: Json = {"deal": {str(deal.id): {name: getattr(deal, name) for name in _SUMMARY}}}
    if owner is not None:
        related["user"] = {
            str(owner.id): {
                "id": owner.id, "name": owner.name, "email": owner.email, "has_pic": 0,
                "pic_hash": None, "active_flag": owner.active_flag,
            }
        }  # fmt: skip
    return v1_page(request, items, lambda item: item, related_objects=related)


def _changes(account: Account, deal: Deal, every: bool) -> Iterator[Json]:
    rows = account.logs["deal"].rows(deal.id)
    first = rows[0].number if rows else 0
    created = Change(
        first - 1, deal.add_time, "add_time", None, naive(deal.add_time),
        deal.creator_user_id or deal.owner_id, "app", False,
    )  # fmt: skip
    for row in (created, *rows):
        # Keys of custom fields are 40 hex digits and a suffix for compound ones.
        if len(row.field_key) >= 40 and not every:
            continue
        yield {
            "object": "dealChange",
            "timestamp": naive(row.time),
            "data": {
                "id": row.number, "item_id": deal.id, "user_id": row.actor_user_id,
                "field_key": row.field_key, "old_value": row.old_value,
                "new_value": row.new_value, "is_bulk_update_flag": row.is_bulk or None,
                "log_time": naive(row.time), "change_source": row.source,
                "change_source_user_agent": _AGENT, "additional_data": [],
            },
        }  # fmt: skip


def _activities(account: Account, deal: Deal) -> Iterator[Json]:
    for number in account.activities_of_deal.get(deal.id, []):
        activity = account.activities.records[number]
        yield {
            "object": "activity" if activity.done else "plannedActivity",
            "timestamp": naive(activity.marked_as_done_time or activity.add_time),
            "data": {
                "id": activity.id, "deal_id": deal.id, "user_id": activity.owner_id,
                "type": activity.type, "subject": activity.subject, "done": activity.done,
                "due_date": activity.due_date, "add_time": naive(activity.add_time),
            },
        }  # fmt: skip


OPERATIONS = (
    _changelog("deal", "deals"),
    _changelog("person", "persons"),
    _changelog("organization", "organizations"),
    Operation(
        "getDealUpdates", "v1", "/deals/{id}/flow", 40, _flow,
        {**OFFSET_PARAMS, "all_changes": query_params.text, "items": lambda v: v[-1].split(",")},
    ),
)  # fmt: skip
