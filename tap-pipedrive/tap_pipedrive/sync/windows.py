"""Read long lists in several windows of update time at once.

A cursor leads to one page at a time: at 300 ms a page, one chain of cursors reads 1,700 records a
second at most, where the largest plan allows 27,000. ``updated_since`` and ``updated_until`` cut a
list into windows, each with its own chain of cursors.

**Windows.** The distribution of an account's records over time is not known beforehand, so the
windows are not planned. An idle thread takes the upper half (in time) of the window that has the
most pages left, as the time that its pages covered so far suggests. A window is halved again only
after its next page. This finds a crowded week in ten years within a few round trips, and does not
cut the empty years behind a crowded second into many windows. When half of the threads are idle,
the estimate uses the last page alone, so that a crowd that began with it is shared too.

**Several lists.** A stream's lists (live and archived deals) share the threads: threads that one
list leaves idle at its end read the other.

**Cost.** A split costs one call at most: each window ends with a page of which a part, or all,
belongs to the next window. The loss is at most one call per thread and one per
:data:`PAGES_PER_LOSS` pages read (:func:`most_calls`); a window that has not ended counts as one
call. No window is made that probably has fewer than :data:`LEAST_PAGES` pages.

**Exactness.** Windows end at the *horizon*, a lookback before the source's time at the start. A
record that is edited during the scan, or that is committed late, moves behind the horizon, which is
read last, page by page. Progress is noted only for records that are written: for a window up to the
update time reached (without that second), for the bookmark up to the first gap. Records may repeat,
none is skipped.

**Memory.** A page per thread and :data:`PAGES_WAITING`.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Generic, TypeVar

from tap_pipedrive import termination, threads
from tap_pipedrive.api.pagination import restarting
from tap_pipedrive.api.records import Record
from tap_pipedrive.api.responses import Page
from tap_pipedrive.errors import OutOfMemoryError
from tap_pipedrive.times import latest_update, tells_order, to_text, to_time

#: A list of no more pages is read page by page.
PLAIN_PAGES = 3
#: Pages that a new window must probably have.
LEAST_PAGES = 2
#: Pages read for each further call that may be lost.
PAGES_PER_LOSS = 10
#: Pages that wait to be written.
PAGES_WAITING = 4
#: Seconds to wait for threads whose pages are no longer needed.
CLOSE_TIMEOUT_SECONDS = 5.0

Span = list[str]
T = TypeVar("T")


def most_calls(pages: int, width: int) -> int:
    """Return the most calls that a list of ``pages`` pages costs in windows, without edits."""
    if width <= 1 or pages <= PLAIN_PAGES:
        return pages
    # Three more: both ends of the order, and the records behind the horizon.
    return pages + width + pages // PAGES_PER_LOSS + 3


class Listing(Generic[T]):
    """One list that is read in windows: its gaps, how they are read, and the spans written."""

    def __init__(
        self,
        gaps: Iterable[tuple[str, str]],
        pages: Callable[[str, str], Iterable[Page]],
        prepare: Callable[[list[Record]], T],
        *,
        read: Iterable[Span] = (),
        pace: float | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            gaps: the spans of update time to read.
            pages: yields the pages of one window, oldest first; called in other threads.
            prepare: turns the records of a page into a result; called in other threads.
            read: spans that were read before, around the gaps.
            pace: seconds of update time that a page covers, None if unknown.

        """
        self.pages, self.prepare = pages, prepare
        #: Spans of windows that have ended, in order and disjoint.
        self._written: list[Span] = join(read)
        self._begun: list[Window[T]] = []
        #: The latest update time that was written, now or before.
        self.latest = self._written[-1][1] if self._written else ""
        self.gaps = [Window(self, start, end, pace, pace) for start, end in gaps]

    @property
    def written(self) -> list[Span]:
        """Spans of update time that are read and written, in order and disjoint."""
        return join([*self._written, *([w.start, w.written] for w in self._begun)])

    def note(self, window: Window[T], latest: str | None) -> None:
        """Note that a window is written up to ``latest``."""
        if window not in self._begun:
            self._begun.append(window)
        window.written = max(window.written, latest or "")
        self.latest = max(self.latest, latest or "")

    def finish(self, window: Window[T]) -> None:
        """Note that a window is written to its end."""
        self._written = join([*self._written, [window.start, window.end]])
        self._begun = [other for other in self._begun if other is not window]


@dataclass(eq=False)
class Window(Generic[T]):
    """Update times from ``start`` (inclusive) to ``end`` (exclusive), read oldest first."""

    listing: Listing[T]
    start: str
    end: str
    #: Seconds of update time that a page covers, on average and the last one; None if unknown.
    average: float | None = None
    last: float | None = None
    #: Update times up to which pages were fetched, queued, and written.
    fetched: str = field(init=False)
    queued: str = field(init=False)
    written: str = field(init=False)
    pages: int = 0
    #: Whether it was split after its last page.
    is_halved: bool = False

    def __post_init__(self) -> None:
        """Start at the lower end."""
        self.fetched = self.queued = self.written = self.start

    def fetch(self, latest: str) -> None:
        """Note that pages up to ``latest`` are fetched."""
        self.pages += 1
        self.is_halved = False
        self.average = seconds_between(self.start, latest) / self.pages
        self.last = seconds_between(self.fetched, latest)
        self.fetched = max(self.fetched, latest)

    def pages_left(self, *, by_last_page: bool) -> float:
        """Estimate the pages left: by the average page, or by the last one if that gives more."""
        if self.average is None or self.last is None:
            return 0.0
        pace = min(self.average, self.last) if by_last_page else self.average
        return seconds_between(self.fetched, self.end) / max(1.0, pace)

    def split(self) -> Window[T] | None:
        """Cut off the upper half of the rest and return it; None if it cannot be halved."""
        half = timedelta(seconds=seconds_between(self.fetched, self.end) // 2)
        middle = to_text(to_time(self.fetched) + half)
        if not self.fetched < middle < self.end:
            self.average = self.last = None
            return None
        upper, self.end = Window(self.listing, middle, self.end), middle
        if self.pages:
            self.is_halved = True
        else:  # nothing was read of either, so the estimate holds for both
            upper.average, upper.last = self.average, self.last
        return upper


@dataclass
class Fetched(Generic[T]):
    """The result of a page, prepared in the thread that fetched it; None at a window's end."""

    window: Window[T]
    result: T | None = None
    latest: str | None = None


class Windows(Generic[T]):
    """Reads the gaps of several lists at the same time; one thread iterates, others fetch."""

    def __init__(
        self,
        listings: Iterable[Listing[T]],
        *,
        width: int,
        logger: logging.Logger | None = None,
    ) -> None:
        """Start no thread yet.

        Args:
            listings: the lists to read.
            width: the number of threads.
            logger: reports cursors that expired.

        """
        self._pending = [window for listing in listings for window in listing.gaps]
        self._reading: list[Window[T]] = []
        self._width = self._running_threads = width
        self._threads: list[threads.Thread] = []
        self._logger = logger or logging.getLogger("tap-pipedrive")
        self._changed = threading.Condition()
        self._pages = 0
        #: Calls lost at the ends of windows, in parts of a page; records of a full page.
        self._lost = 0.0
        self._full_page = 0
        self._stopped = False
        self._queue: queue.Queue[Fetched[T] | BaseException | None] = queue.Queue(PAGES_WAITING)

    # -- in the thread that writes -------------------------------------------------------------

    def __enter__(self) -> Windows[T]:
        """Start to fetch."""
        for _ in range(self._width):
            thread = threads.Thread(partial(contextvars.copy_context().run, self._work))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop fetching, and drop the pages that are left."""
        self._stop()
        while self._running_threads and not termination.requested_by():
            try:
                self._running_threads -= self._queue.get(timeout=CLOSE_TIMEOUT_SECONDS) is None
            except queue.Empty:
                break

    def __iter__(self) -> Iterator[tuple[Listing[T], T]]:
        """Yield the result of each page; the caller has written it when it requests the next one.

        When a thread fails, the pages of the other threads are yielded before its error is raised.

        Raises:
            OutOfMemoryError: a thread was lost.
            Exception: what the thread that failed raised.

        """
        failure = None
        while self._running_threads:
            item = self._next_item()
            if item is None:
                self._running_threads -= 1
            elif isinstance(item, BaseException):
                failure = failure or item
                self._stop()
            elif item.result is None:
                item.window.listing.finish(item.window)
            else:
                listing = item.window.listing
                yield listing, item.result
                listing.note(item.window, item.latest)
        if failure is not None:
            raise failure

    def _next_item(self) -> Fetched[T] | BaseException | None:
        while True:
            with termination.at_once(), contextlib.suppress(queue.Empty):
                return self._queue.get(timeout=threads.LOOK_SECONDS)
            # A thread says that it ends (None) before it does.
            ended = sum(not thread.is_alive() for thread in self._threads)
            if self._queue.empty() and ended > self._width - self._running_threads:
                raise OutOfMemoryError

    # -- in the threads that fetch -------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (window := self._next()) is not None:
                self._read(window)
        except BaseException as error:
            self._queue.put(error)
        finally:
            self._queue.put(None)

    def _next(self) -> Window[T] | None:
        """Wait for a window to read; return None when none is left."""
        with self._changed:
            while not self._stopped:
                window = self._pending.pop(0) if self._pending else self._split()
                if window is not None:
                    self._reading.append(window)
                    return window
                if not self._reading:
                    return None
                self._changed.wait()
            return None

    def _split(self) -> Window[T] | None:
        allowed = self._width + self._pages // PAGES_PER_LOSS
        if not self._reading or self._lost + len(self._reading) >= allowed:
            return None
        by_last_page = len(self._reading) < self._width / 2
        known = [window for window in self._reading if not window.is_halved]
        longest = max(known, key=lambda w: w.pages_left(by_last_page=by_last_page), default=None)
        if longest is None or longest.pages_left(by_last_page=by_last_page) < 2 * LEAST_PAGES:
            return None
        upper = longest.split()
        if upper is not None:
            self._changed.notify()  # there may be more to share
        return upper

    def _read(self, window: Window[T]) -> None:
        restarting(
            lambda: self._follow(window),
            lambda error: self._logger.warning(
                "reading a time window again from %s (%s)", window.queued, error
            ),
        )
        with self._changed:
            self._reading = [other for other in self._reading if other is not window]
            self._changed.notify_all()

    def _follow(self, window: Window[T]) -> None:
        """Follow one chain of cursors from the last queued page to the window's end."""
        own = 0
        for page in window.listing.pages(window.queued, window.end):
            latest = latest_update(page.records, page.answered_at)
            with self._changed:
                end = window.end  # another thread may have moved it
                if latest is not None:
                    window.fetch(latest)
                self._pages += 1
                self._full_page = max(self._full_page, own)  # that page was not the last
                self._changed.notify()
            over = latest is not None and latest >= end
            records = page.records
            if over:
                records = [r for r in records if self._is_before(r, end, page)]
                latest = latest_update(
                    [r for r in records if (r.get("update_time") or end) < end], page.answered_at
                )
            own = len(records)
            self._queue.put(Fetched(window, window.listing.prepare(records), latest))
            window.queued = max(window.queued, latest or "")
            if over:
                break
            if self._stopped:
                return
        with self._changed:
            self._lost += 1 - min(1.0, own / self._full_page) if self._full_page else 1
        self._queue.put(Fetched(window))

    @staticmethod
    def _is_before(record: Record, end: str, page: Page) -> bool:
        """Whether a record belongs before the end; so does one whose time says nothing."""
        updated = record.get("update_time") or ""
        return updated < end or not tells_order(updated, page.answered_at)

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


def seconds_between(start: str, end: str) -> float:
    """Return the seconds from one time to another."""
    return (to_time(end) - to_time(start)).total_seconds()


def join(spans: Iterable[Span]) -> list[Span]:
    """Sort spans, and join those that touch.

    >>> join([["d", "e"], ["a", "b"], ["b", "c"]])
    [['a', 'c'], ['d', 'e']]
    """
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        elif start < end:
            joined.append([start, end])
    return joined


def gaps_between(spans: Iterable[Span], start: str, end: str) -> list[tuple[str, str]]:
    """Return the spans from ``start`` to ``end`` that are missing.

    >>> gaps_between([["b", "c"], ["d", "f"]], "a", "e")
    [('a', 'b'), ('c', 'd')]
    """
    gaps = []
    for span_start, span_end in join(spans):
        if start < min(span_start, end):
            gaps.append((start, min(span_start, end)))
        start = max(start, span_end)
    return [*gaps, (start, end)] if start < end else gaps
