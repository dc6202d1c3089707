"""The two ways of paging: v2's keyset cursor and v1's offset."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from pipedrive_simulator.account.records import Json
from pipedrive_simulator.account.table import Marker
from pipedrive_simulator.operations.query_params import (
    Parser,
    Request,
    integer,
    one_of,
    refuse,
    text,
)

PAGE_PARAMS: dict[str, Parser] = {"limit": integer, "cursor": text}
OFFSET_PARAMS: dict[str, Parser] = {"start": integer, "limit": integer}
_encode = msgspec.json.encode


def sort_params(*fields: str) -> dict[str, Parser]:
    """Return the parameters of a list that can be sorted by `fields`."""
    return {"sort_by": one_of(*fields), "sort_direction": one_of("asc", "desc")}


def make_cursor(field: str, descending: bool, marker: Marker) -> str:
    """Encode the start of the next page: sort value and id of its first record."""
    content = {
        "field": field,
        "fieldValue": marker[0],
        "sortDirection": "desc" if descending else "asc",
        "id": marker[1],
    }
    return base64.urlsafe_b64encode(_encode(content)).rstrip(b"=").decode()


def read_cursor(request: Request) -> tuple[str, bool, Marker | None]:
    """Return (sort field, descending, first record of the page).

    A cursor contains its order; a different order in the query is refused.
    """
    field, direction = request.get("sort_by", "id"), request.get("sort_direction", "asc")
    cursor = request.get("cursor")
    if cursor is None:
        return field, direction == "desc", None
    content = decode_base64(cursor)
    try:
        made: Json = msgspec.json.decode(content, type=dict)
        order = (made["field"], made["sortDirection"])
        marker = (made["fieldValue"], made["id"])
    except (msgspec.DecodeError, KeyError):
        refuse("cursor", "is not valid")
    if (request.get("sort_by", order[0]), request.get("sort_direction", order[1])) != order:
        refuse("cursor", "does not match sort_by and sort_direction")
    return order[0], order[1] == "desc", marker


def decode_base64(cursor: str) -> bytes:
    """Decode the opaque part of a cursor."""
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        refuse("cursor", "is not valid")


def v2_page(parts: list[bytes], cursor: str | None) -> bytes:
    """Assemble the body of a v2 list from encoded records."""
    return b'{"success":true,"data":[%b],"additional_data":{"next_cursor":%b}}' % (
        b",".join(parts),
        _encode(cursor),
    )


def v2_rows(request: Request, rows: Iterable[Any], encode: Callable[[Any], bytes]) -> bytes:
    """Return a page of a few records by cursor, in the requested order (default: by id)."""
    field, descending, marker = read_cursor(request)

    def key(record: Any) -> Marker:
        value = getattr(record, field)
        return ("" if value is None else value, record.id)

    chosen = sorted(rows, key=key, reverse=descending)
    if marker is not None:
        here = tuple(marker)
        chosen = [r for r in chosen if (key(r) <= here if descending else key(r) >= here)]
    limit = request.limit()
    following = chosen[limit] if len(chosen) > limit else None
    cursor = None if following is None else make_cursor(field, descending, key(following))
    return v2_page([encode(record) for record in chosen[:limit]], cursor)


def v2_one(part: bytes) -> bytes:
    """Assemble the body of a v2 operation that returns one record."""
    return b'{"success":true,"data":%b}' % part


def sort_rows(rows: list[Any], order: str | None, allowed: tuple[str, ...]) -> list[Any]:
    """Sort by `field ASC, other DESC` as in v1; the first field is the most important."""
    for part in reversed((order or "").split(",")):
        name, _, direction = part.strip().partition(" ")
        if not name:
            continue
        if name not in allowed or direction.upper() not in ("", "ASC", "DESC"):
            refuse("sort", f"cannot be {part.strip()!r}")
        rows.sort(
            key=lambda row: ((value := getattr(row, name)) is not None, value or 0),
            reverse=direction.upper() == "DESC",
        )
    return rows


def v1_body(data: Any, **more: Any) -> bytes:
    """Assemble the body of a v1 operation without paging."""
    return _encode({"success": True, "data": data, **more})


def v1_page(
    request: Request,
    rows: Sequence[Any],
    render: Callable[[Any], Json],
    *,
    maximum: int = 500,
    **more: Any,
) -> bytes:
    """Return a page of all rows by `start` and `limit`.

    Paging data is nested under `pagination`, as in the live API, although some official schemas
    have it flat. `next_start` is missing on the last page. An empty list is null.
    """
    start, limit = request.get("start", 0), request.limit(maximum)
    if start < 0:
        refuse("start", "must not be negative")
    page = [render(row) for row in rows[start : start + limit]]
    further = start + limit < len(rows)
    pagination: Json = {"start": start, "limit": limit, "more_items_in_collection": further}
    if further:
        pagination["next_start"] = start + limit
    return v1_body(page or None, additional_data={"pagination": pagination}, **more)
