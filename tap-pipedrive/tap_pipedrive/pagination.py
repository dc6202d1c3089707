"""Walk an operation page by page: cursors (v2, a few of v1), offsets (v1), or one page only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from tap_pipedrive.answers import Page
from tap_pipedrive.client import PipedriveClient
from tap_pipedrive.errors import CursorExpiredError, UnexpectedAnswerError
from tap_pipedrive.openapi import Operation
from tap_pipedrive.records import PageReader, utc_time

T = TypeVar("T")

#: Times a walk starts again because its cursor expired.
MOST_RESTARTS = 3
#: Steps back a walk by offsets may take, altogether, before it gives up on a list in turmoil.
MOST_STEPS_BACK = 20


def restarting(walk: Callable[[], T], report: Callable[[CursorExpiredError], None]) -> T:
    """Walk, and start again when a cursor expires: repeats are harmless, bookmarks are kept.

    Args:
        walk: goes on where it has come to.
        report: told of each cursor that expired, unless it was one too many.

    Raises:
        CursorExpiredError: it expired once too often.

    """
    restarts = 0
    while True:
        try:
            return walk()
        except CursorExpiredError as error:
            restarts += 1
            if restarts > MOST_RESTARTS:
                raise
            report(error)


def pages(
    client: PipedriveClient,
    operation: Operation,
    *,
    stream: str,
    limit: int,
    path: Mapping[str, Any] | None = None,
    query: Mapping[str, Any] | None = None,
    reader: PageReader | None = None,
) -> Iterator[Page]:
    """Yield every page in order; an empty page is not the end, only a missing successor is.

    Raises:
        UnexpectedAnswerError: the pages lead in a circle, or the list will not hold still.

    """

    def get(position: Mapping[str, Any]) -> Page:
        size = {"limit": limit} if "limit" in operation.parameters else {}
        asked = {**(query or {}), **size, **position}
        return client.get(operation, stream=stream, path=path, query=asked, reader=reader)

    if operation.pages_by_cursor:
        yield from _by_cursor(operation, get)
    elif operation.pages_by_offset:
        yield from _by_offset(operation, get, limit)
    else:
        yield get({})


def _by_cursor(operation: Operation, get: Any) -> Iterator[Page]:
    cursor: str | None = None
    while True:
        try:
            page = get({"cursor": cursor})
        except UnexpectedAnswerError as error:
            if cursor is None:
                raise
            # The first page went well with the same words, so it is the cursor that is refused.
            raise CursorExpiredError(str(error)) from error
        yield page
        successor: str | None = page.additional.get("next_cursor")
        if not successor:
            return
        # A cursor is new on each page: comparing with the last one is enough to see a circle.
        if successor == cursor:
            msg = f"GET {operation.path}: the page at {cursor} leads back to itself"
            raise UnexpectedAnswerError(msg)
        cursor = successor


def _by_offset(operation: Operation, get: Any, limit: int) -> Iterator[Page]:
    """Walk by offsets, each page overlapping the one before by a record.

    Offsets shift when a record before them goes away, and would then skip another one. The
    overlap shows it; the walk steps back a page. Records may repeat, none is skipped.
    """
    start, last, steps_back = 0, None, 0
    while True:
        page = get({"start": start})
        records = page.records
        if last is not None:
            names = [_name(record) for record in records]
            if last not in names:
                steps_back += 1
                if steps_back > MOST_STEPS_BACK:
                    msg = f"GET {operation.path}: the list changes faster than it can be read"
                    raise UnexpectedAnswerError(msg)
                start, last = max(0, start - limit), None
                continue
            records = records[names.index(last) + 1 :]
        yield Page(records, page.additional)
        successor = next_start(page, start, limit)
        if successor is None or not page.records:
            return
        overlap = 1 if limit > 1 else 0
        start = successor - overlap
        last = _name(page.records[-1]) if overlap else None


def _name(record: Mapping[str, Any]) -> Any:
    """Tell a record from its neighbours: by whatever id its kind has."""
    for key in ("id", "uuid", "key", "user_id", "name"):
        if record.get(key) is not None:
            return key, record[key]
    return repr(record)


def next_start(page: Page, start: int, limit: int) -> int | None:
    """Find the offset of the next page, None at the end.

    v1 nests the four keys below ``pagination`` in some answers, leaves them flat in others, and
    may omit ``next_start``.
    """
    counts = page.additional.get("pagination") or page.additional
    if not counts.get("more_items_in_collection"):
        return None
    return int(counts.get("next_start") or start + limit)


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
        if next_start(page, start, limit) is None:
            return
        times = [utc_time(str(r["update_time"])) for r in page.records if r.get("update_time")]
        last = max(filter(None, times), default=None)
        anchor = f"{last[:19]}Z" if last else None
        if anchor is None or anchor == since:
            start += limit
        else:
            since, start = anchor, 0
