"""Walk an operation page by page: cursors (v2, a few of v1), offsets (v1), or one page only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tap_pipedrive.client import Page, PipedriveClient
from tap_pipedrive.errors import UnexpectedAnswerError
from tap_pipedrive.openapi import Operation
from tap_pipedrive.records import utc_time


def pages(
    client: PipedriveClient,
    operation: Operation,
    *,
    stream: str,
    limit: int,
    path: Mapping[str, Any] | None = None,
    query: Mapping[str, Any] | None = None,
) -> Iterator[Page]:
    """Yield every page in order; an empty page is not the end, only a missing successor is.

    Raises:
        UnexpectedAnswerError: the same position came twice, which would loop for ever.

    """
    position: dict[str, Any] = {"limit": limit} if "limit" in operation.parameters else {}
    seen: set[Any] = set()
    while True:
        page = client.get(operation, stream=stream, path=path, query={**(query or {}), **position})
        yield page
        successor = _successor(operation, page, position, limit)
        if successor is None:
            return
        if successor in seen:
            msg = f"GET {operation.path}: the page at {successor} leads back to itself"
            raise UnexpectedAnswerError(msg)
        # A cursor is new on each page: keeping the last one is enough to see a loop of one.
        seen = {successor}
        position["cursor" if operation.pages_by_cursor else "start"] = successor


def _successor(
    operation: Operation, page: Page, position: Mapping[str, Any], limit: int
) -> str | int | None:
    if operation.pages_by_cursor:
        cursor: str | None = page.additional.get("next_cursor")
        return cursor or None
    if not operation.pages_by_offset:
        return None
    # v1 nests the four keys below "pagination" in some answers and leaves them flat in others.
    counts = page.additional.get("pagination") or page.additional
    if not counts.get("more_items_in_collection"):
        return None
    return int(counts.get("next_start") or position.get("start", 0) + limit)


def anchored_pages(
    client: PipedriveClient,
    operation: Operation,
    *,
    stream: str,
    limit: int,
    query: Mapping[str, Any],
    since: str | None,
) -> Iterator[Page]:
    """Walk a v1 list in ascending ``update_time`` order without trusting its offsets.

    A record edited during the walk moves to the end, and everything behind its old place
    shifts by one: the next offset would skip a record. So each page is asked for by the last
    time seen (inclusive) instead, and by offset only within one second. Records may repeat,
    none is skipped.
    """
    start = 0
    while True:
        position = {"updated_since": since, "start": start, "limit": limit}
        page = client.get(operation, stream=stream, query={**query, **position})
        yield page
        if _successor(operation, page, {"start": start}, limit) is None:
            return
        last = max((utc_time(str(r["update_time"])) or "" for r in page.records
                    if r.get("update_time")), default="")  # fmt: skip
        anchor = f"{last[:19]}Z" if last else None
        if anchor is None or anchor == since:
            start += limit
        else:
            since, start = anchor, 0
