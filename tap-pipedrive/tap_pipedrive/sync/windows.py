"""Read long lists in several windows of update time at once.

A cursor leads to one page at a time: at 300 ms a page, one chain of cursors cannot pass 1,700
records a second, where the largest plan allows 27,000. ``updated_since`` and ``updated_until``
cut a list into windows, each with a chain of its own.

**Windows.** Nobody knows beforehand where an account's records lie. So nothing is planned: an idle
thread takes the upper half (in time) of the window that has most pages ahead, as the time that its
pages covered so far tells, and that window then ends where the new one begins. It is halved again
when its next page has told how well that went: this finds a crowded week in ten years within a few
round trips, and does not cut the years behind a crowded second into as many empty windows as there
are threads. When half of them have nothing to do, the last page alone is believed: a crowd that
began with it is then shared too.

**Several lists.** A stream's lists (deals, and those that are archived) share the threads: what one
leaves idle at its end reads the other.

**Cost.** A split costs one call at the most: each window ends with a page of which a part, at worst
all, is not its own. What is lost so may add up to a call per thread and one per
:data:`PAGES_PER_LOSS` pages read (:func:`most_calls`), with a whole call reckoned for each window
that has not come to its end. No window is made that is expected to hold less than
:data:`LEAST_PAGES` pages.

**Exactness.** Windows end at the *horizon*, a lookback before the source's time at the start. A
record edited during the walk moves behind the horizon, as does what commits late, and what lies
behind it is read last, by the plain walk that follows. What is read is noted only once it was
written: a window up to the update time reached (that second itself not included), and the
bookmark up to where everything below is read. Records may repeat, none is skipped.

**Memory.** A page per thread and :data:`PAGES_WAITING`.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

from tap_pipedrive import termination
from tap_pipedrive.api.pagination import restarting
from tap_pipedrive.api.records import Record
from tap_pipedrive.api.responses import Page
from tap_pipedrive.times import latest_update, tells_order, to_text, to_time

#: A walk that is over by then stays a plain one.
PLAIN_PAGES = 3
#: Pages a window is expected to hold at the least.
LEAST_PAGES = 2
#: One more call may be lost for so many pages that were read.
PAGES_PER_LOSS = 10
#: Pages that wait to be written.
PAGES_WAITING = 4
#: Seconds to wait for threads whose pages nobody wants any more.
PATIENCE_SECONDS = 5.0

Span = list[str]
T = TypeVar("T")


def most_calls(pages: int, width: int) -> int:
    """Bound the calls of a list of ``pages`` pages that is read in windows, edits aside."""
    if width <= 1 or pages <= PLAIN_PAGES:
        return pages
    # Both ends of the order are looked at, and what follows the horizon is one more walk.
    return pages + width + pages // PAGES_PER_LOSS + 3


class Listing(Generic[T]):
    """One list that is read in windows: what is to be read, how, and what of it is written."""

    def __init__(
        self,
        gaps: Iterable[tuple[str, str]],
        ask: Callable[[str, str], Iterable[Page]],
        prepare: Callable[[list[Record]], T],
        *,
        read: Iterable[Span] = (),
        pace: float | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            gaps: what to read, by update time.
            ask: walks one window, oldest first; called in other threads.
            prepare: makes of a page's records what is wanted; called in other threads.
            read: what was read before, around the gaps.
            pace: seconds of update time that a page covers, as far as that is known.

        """
        self.ask, self.prepare = ask, prepare
        #: What is written, in order and disjoint; of windows under way the part below is added.
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
        """Note that all of a window is written."""
        self._written = join([*self._written, [window.start, window.end]])
        self._begun = [other for other in self._begun if other is not window]


@dataclass(eq=False)
class Window(Generic[T]):
    """Update times from ``start`` (inclusive) to ``end`` (exclusive), read oldest first."""

    listing: Listing[T]
    start: str
    end: str
    #: Seconds of update time that a page covers, on average and the last one; None: no idea.
    average: float | None = None
    last: float | None = None
    #: Update time up to which pages were fetched, handed on, and written.
    fetched: str = field(init=False)
    handed_on: str = field(init=False)
    written: str = field(init=False)
    pages: int = 0
    #: Whether it was split since its last page.
    is_halved: bool = False

    def __post_init__(self) -> None:
        """Begin at the start."""
        self.fetched = self.handed_on = self.written = self.start

    def fetch(self, latest: str) -> None:
        """Note that pages up to ``latest`` are fetched."""
        self.pages += 1
        self.is_halved = False
        self.average = seconds_between(self.start, latest) / self.pages
        self.last = seconds_between(self.fetched, latest)
        self.fetched = max(self.fetched, latest)

    def pages_ahead(self, *, hopeful: bool) -> float:
        """Guess how many pages are left: by the average, or by the last one if that is more."""
        if self.average is None or self.last is None:
            return 0.0
        pace = min(self.average, self.last) if hopeful else self.average
        return seconds_between(self.fetched, self.end) / max(1.0, pace)

    def split(self) -> Window[T] | None:
        """Give away the upper half of what is left, if it can be halved at all."""
        half = timedelta(seconds=seconds_between(self.fetched, self.end) // 2)
        middle = to_text(to_time(self.fetched) + half)
        if not self.fetched < middle < self.end:
            self.average = self.last = None
            return None
        upper, self.end = Window(self.listing, middle, self.end), middle
        if self.pages:
            self.is_halved = True
        else:  # nothing was read of either: what is known of one holds for the other
            upper.average, upper.last = self.average, self.last
        return upper


@dataclass
class Fetched(Generic[T]):
    """A page of a window, made ready in the thread that fetched it; the last one has no page."""

    window: Window[T]
    ready: T | None = None
    latest: str | None = None


class Windows(Generic[T]):
    """Reads the gaps of some lists side by side; one thread iterates, others fetch."""

    def __init__(
        self,
        listings: Iterable[Listing[T]],
        *,
        width: int,
        logger: logging.Logger | None = None,
    ) -> None:
        """Start no thread yet.

        Args:
            listings: what to read.
            width: threads.
            logger: where cursors that expired are reported.

        """
        self._pending = [window for listing in listings for window in listing.gaps]
        self._reading: list[Window[T]] = []
        self._width = self._at_work = width
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
        """Begin to fetch."""
        for _ in range(self._width):
            run = contextvars.copy_context().run
            threading.Thread(target=run, args=(self._work,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop fetching, and let go of pages that nobody wants any more."""
        self._stop()
        while self._at_work and not termination.requested_by():
            try:
                self._at_work -= self._queue.get(timeout=PATIENCE_SECONDS) is None
            except queue.Empty:
                break

    def __iter__(self) -> Iterator[tuple[Listing[T], T]]:
        """Yield what was made of each page; by the time the next is asked for, it is written.

        When a thread fails, what the others have under way is still yielded before that is raised.
        """
        failure = None
        while self._at_work:
            with termination.at_once():
                item = self._queue.get()
            if item is None:
                self._at_work -= 1
            elif isinstance(item, BaseException):
                failure = failure or item
                self._stop()
            elif item.ready is None:
                item.window.listing.finish(item.window)
            else:
                listing = item.window.listing
                yield listing, item.ready
                listing.note(item.window, item.latest)
        if failure is not None:
            raise failure

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
        """Wait for a window to read; None when none is left."""
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
        hopeful = len(self._reading) < self._width / 2
        known = [window for window in self._reading if not window.is_halved]
        longest = max(known, key=lambda w: w.pages_ahead(hopeful=hopeful), default=None)
        if longest is None or longest.pages_ahead(hopeful=hopeful) < 2 * LEAST_PAGES:
            return None
        upper = longest.split()
        if upper is not None:
            self._changed.notify()  # there may be more to share
        return upper

    def _read(self, window: Window[T]) -> None:
        restarting(
            lambda: self._follow(window),
            lambda error: self._logger.warning(
                "starting a window again at %s (%s)", window.handed_on, error
            ),
        )
        with self._changed:
            self._reading = [other for other in self._reading if other is not window]
            self._changed.notify_all()

    def _follow(self, window: Window[T]) -> None:
        """Follow one chain of cursors from where the window has come to its end."""
        own = 0
        for page in window.listing.ask(window.handed_on, window.end):
            latest = latest_update(page.records, page.answered_at)
            with self._changed:
                end = window.end  # another thread may have moved it meanwhile
                if latest is not None:
                    window.fetch(latest)
                self._pages += 1
                self._full_page = max(self._full_page, own)  # another page came after that one
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
            window.handed_on = max(window.handed_on, latest or "")
            if over:
                break
            if self._stopped:
                return
        with self._changed:
            self._lost += 1 - min(1.0, own / self._full_page) if self._full_page else 1
        self._queue.put(Fetched(window))

    @staticmethod
    def _is_before(record: Record, end: str, page: Page) -> bool:
        """Whether a record belongs before the end; one whose time tells no order stays."""
        updated = record.get("update_time") or ""
        return updated < end or not tells_order(updated, page.answered_at)

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


def seconds_between(start: str, end: str) -> float:
    """Measure the time from one text to another."""
    return (to_time(end) - to_time(start)).total_seconds()


def join(spans: Iterable[Span]) -> list[Span]:
    """Put spans in order and make one of those that touch.

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
    """List what is missing from ``start`` to ``end``.

    >>> gaps_between([["b", "c"], ["d", "f"]], "a", "e")
    [('a', 'b'), ('c', 'd')]
    """
    gaps = []
    for span_start, span_end in join(spans):
        if start < min(span_start, end):
            gaps.append((start, min(span_start, end)))
        start = max(start, span_end)
    return [*gaps, (start, end)] if start < end else gaps
