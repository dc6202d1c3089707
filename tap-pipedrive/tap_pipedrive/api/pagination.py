"""Walk an operation page by page: cursors (v2, a few of v1), offsets (v1), or one page only.

Every walk is bounded. It ends with an error when a cursor comes again, an offset does not grow,
:data:`MOST_IDLE_PAGES` pages in a row have nothing new, or the whole list and that many pages more
come again with later update times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from tap_pipedrive.api.client import PipedriveClient
from tap_pipedrive.api.openapi import Operation
from tap_pipedrive.api.records import PageReader
from tap_pipedrive.api.responses import Page
from tap_pipedrive.errors import CursorExpiredError, UnexpectedAnswerError
from tap_pipedrive.times import latest_update

T = TypeVar("T")
Screen = Callable[[Page], Page]

#: How often a walk starts again because its cursor expired.
MOST_RESTARTS = 3
#: Steps back that a walk by offsets may take in a list that changes all the time.
MOST_STEPS_BACK = 20
#: Pages in a row without a new record. An empty page is not the end of a list.
MOST_IDLE_PAGES = 20
#: Digits of an offset: no list is longer, and Python refuses to convert texts of thousands.
_MOST_DIGITS = 18


def restarting(
    read: Callable[[], T], report: Callable[[CursorExpiredError], None], most: int = MOST_RESTARTS
) -> T:
    """Run a walk, and start it again when a cursor expires; repeated records do no harm.

    Args:
        read: continues from its bookmark.
        report: receives the error of each expired cursor, except the last.
        most: how often the walk may start again.

    Raises:
        CursorExpiredError: a cursor expired once too often.

    """
    restarts = 0
    while True:
        try:
            return read()
        except CursorExpiredError as error:
            restarts += 1
            if restarts > most:
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
    screen: Screen | None = None,
) -> Iterator[Page]:
    """Yield every page in order, until a page names no successor; an empty page does not end it.

    Args:
        client: the account.
        operation: which list.
        stream: the stream on which calls are booked.
        limit: records per page.
        path: values for the placeholders of the operation's path.
        query: query parameters.
        reader: see :meth:`PipedriveClient.get`.
        screen: removes unusable records from a page, and corrects the values that walks use.

    Raises:
        UnexpectedAnswerError: the pages lead in a circle, or the list changes all the time.

    """

    def get(position: Mapping[str, Any]) -> Page:
        size = {"limit": limit} if "limit" in operation.parameters else {}
        parameters = {**(query or {}), **size, **position}
        page = client.get(operation, stream=stream, path=path, query=parameters, reader=reader)
        return screen(page) if screen else page

    progress = Progress(f"{stream}: GET {operation.path}")
    if operation.pages_by_cursor:
        yield from _by_cursor(get, progress)
    elif operation.pages_by_offset:
        yield from _by_offset(get, limit, progress)
    else:
        page = get({})
        yield page
        if page.additional.get("next_cursor") or next_start(page, 0, limit, progress):
            progress.stop("more pages follow, and the operation has no parameter for them")


class Progress:
    """Checks that a walk still brings new records."""

    def __init__(self, name: str) -> None:
        """Start a walk.

        Args:
            name: the stream and the request, for the error.

        """
        self._name = name
        self._cursors: set[int] = set()
        self._pages: set[int] = set()
        #: First and last record of each page, whatever their versions.
        self._ends: set[int] = set()
        self._idle = self._repeated = self._number = 0

    def page(self, page: Page, position: object) -> None:
        """Note a page that has a successor.

        Raises:
            UnexpectedAnswerError: too many pages in a row were empty, or came before, even with
                other update times.

        """
        self._number += 1
        ends = [_version(page.records[n]) for n in (0, -1)] if page.records else None
        seen = hash((len(page.records), str(ends)))
        is_new = bool(page.records) and seen not in self._pages
        self._pages.add(seen)
        self._idle = 0 if is_new else self._idle + 1
        if self._idle > MOST_IDLE_PAGES:
            what = "the same records again" if page.records else "no records"
            self.stop(f"the last {self._idle} had {what}, and each led to another ({position})")
        named = [_name(page.records[n]) for n in (0, -1)] if page.records else None
        names = hash((len(page.records), str(named)))
        self._repeated = self._repeated + 1 if names in self._ends else 0
        self._ends.add(names)
        # A list may be edited as a whole during the walk; then all of it comes once more.
        if self._repeated > len(self._ends) + MOST_IDLE_PAGES:
            what = f"the last {self._repeated} had the same records again, updated later each time"
            self.stop(f"{what} ({position})")

    def cursor(self, cursor: Any) -> None:
        """Note the cursor of the next page.

        Raises:
            UnexpectedAnswerError: the cursor came before, or is no cursor.

        """
        if not isinstance(cursor, str | int):
            self.stop(f"{type(cursor).__name__} for a cursor")
        if hash(cursor) in self._cursors:
            self.stop(f"the cursor {str(cursor)[:100]} came again: the pages lead in a circle")
        self._cursors.add(hash(cursor))

    def stop(self, why: str) -> NoReturn:
        """End a walk that makes no progress."""
        msg = f"{self._name}: gave up after {self._number} pages: {why}"
        raise UnexpectedAnswerError(msg)


def _by_cursor(get: Any, progress: Progress) -> Iterator[Page]:
    cursor: str | None = None
    while True:
        try:
            page = get({"cursor": cursor})
        except UnexpectedAnswerError as error:
            if cursor is None:
                raise
            # The first page worked with the same parameters, so the cursor is refused.
            raise CursorExpiredError(str(error)) from error
        yield page
        cursor = page.additional.get("next_cursor")
        if not cursor:
            return
        progress.page(page, f"cursor {str(cursor)[:100]}")
        progress.cursor(cursor)


def _by_offset(get: Any, limit: int, progress: Progress) -> Iterator[Page]:
    """Walk by offsets; each page overlaps the one before by a record.

    When a record before an offset is removed, the next offset skips another record. The overlap
    shows that, and the walk steps back a page. Records may repeat, none is skipped. A page that is
    shorter than its limit although more follow (some records are hidden) does not tell the offsets
    of its records: then there is no overlap, and the walk uses the offset that the page names.
    """
    start, last, steps_back = 0, None, 0
    while True:
        page = get({"start": start})
        records = page.records
        successor = next_start(page, start, limit, progress)
        names = [_name(record) for record in records]
        if last is not None and (last in names or successor is None or _is_full(page, limit)):
            if last not in names:
                steps_back += 1
                if steps_back > MOST_STEPS_BACK:
                    progress.stop("the list changes faster than it can be read")
                start, last = max(0, start - limit), None
                continue
            records = records[names.index(last) + 1 :]
        yield replace(page, records=records)
        if successor is None:
            return
        progress.page(page, f"start {successor}")
        is_full = limit > 1 and _is_full(page, limit) and successor == start + len(page.records)
        start = successor - is_full
        last = _name(page.records[-1]) if is_full else None


def _name(record: Mapping[str, Any]) -> Any:
    """Return what identifies a record: the id that its type has."""
    for key in ("id", "uuid", "key", "user_id", "name"):
        if record.get(key) is not None:
            return key, record[key]
    return repr(record)


def _version(record: Any) -> Any:
    """Return what identifies a version of a record; a row of a log has no name."""
    name = _name(record)
    return name if isinstance(name, str) else (name, record.get("update_time"))


def _is_full(page: Page, limit: int) -> bool:
    """Whether a page is full; the server may allow fewer records than the limit."""
    counts = page.additional.get("pagination") or page.additional
    allowed = counts.get("limit")
    most = min(limit, allowed) if isinstance(allowed, int) and allowed > 0 else limit
    return len(page.records) >= most and not page.unreadable


def next_start(page: Page, start: int, limit: int, progress: Progress) -> int | None:
    """Return the offset of the next page, None at the end.

    v1 nests the four keys below ``pagination`` in some responses, has them flat in others, and may
    omit ``next_start``.

    Raises:
        UnexpectedAnswerError: the offset does not grow.

    """
    counts = page.additional.get("pagination") or page.additional
    if not isinstance(counts, dict):
        progress.stop(f"{type(counts).__name__} for pagination")
    if not counts.get("more_items_in_collection"):
        return None
    named = str(counts.get("next_start") or "")
    length = len(page.records) + len(page.unreadable)
    is_offset = named.isdecimal() and len(named) <= _MOST_DIGITS
    successor = int(named) if is_offset else start + (length or limit)
    if successor <= start:
        progress.stop(f"the page at start {start} leads back to start {successor}")
    return successor


def anchored_pages(
    client: PipedriveClient,
    operation: Operation,
    *,
    stream: str,
    limit: int,
    query: Mapping[str, Any],
    since: str | None,
    screen: Screen | None = None,
) -> Iterator[Page]:
    """Walk a v1 list in ascending ``update_time`` order without trusting its offsets.

    A record that is edited during the walk moves to the end, and all records behind its old place
    shift by one, so that the next offset would skip a record. Therefore each page is requested by
    the last time seen (inclusive), and by offset only within one second. Records may repeat, none
    is skipped.
    """
    start = 0
    progress = Progress(f"{stream}: GET {operation.path}")
    while True:
        position = {"updated_since": since, "start": start, "limit": limit}
        page = client.get(operation, stream=stream, query={**query, **position})
        page = screen(page) if screen else page
        yield page
        successor = next_start(page, start, limit, progress)
        if successor is None:
            return
        progress.page(page, f"start {start} of {since}")
        anchor = latest_update(page.records, page.answered_at)
        if anchor is None or anchor <= (since or ""):
            start = successor
        else:
            since, start = anchor, 0
