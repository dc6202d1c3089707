"""Walk an operation page by page: cursors (v2, a few of v1), offsets (v1), or one page only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tap_pipedrive.client import Page, PipedriveClient
from tap_pipedrive.errors import UnexpectedAnswerError
from tap_pipedrive.openapi import Operation


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
        return page.additional.get("next_cursor") or None
    if not operation.pages_by_offset:
        return None
    # v1 nests the four keys below "pagination" in some answers and leaves them flat in others.
    counts = page.additional.get("pagination") or page.additional
    if not counts.get("more_items_in_collection"):
        return None
    return counts.get("next_start") or position.get("start", 0) + limit
