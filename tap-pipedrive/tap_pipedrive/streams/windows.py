"""Read a long list in several windows of update time at once.

A cursor leads to one page at a time: at 300 ms a page, one chain of cursors cannot pass 1,700
records a second, where the largest plan allows 27,000. ``updated_since`` and ``updated_until``
cut a list into windows, each with a chain of its own.

**Windows.** Nobody knows beforehand where an account's records lie. So nothing is planned: an idle
thread takes the upper half (in time) of the window that has most pages ahead, as the distance
between its last two pages tells, and that window then ends where the new one begins. Several
idle threads halve one window again and again, which finds a crowded week in ten years within one
round trip.

**Cost.** A split costs at most two calls: the page on which the cut falls, and a last page that is
not full. Splits are limited to one per thread and one per :data:`PAGES_PER_SPLIT` pages read, and
windows expected to hold less than :data:`LEAST_PAGES` pages are not split; see :func:`most_calls`.

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

from tap_pipedrive.answers import Page
from tap_pipedrive.bookmarks import to_text, to_time
from tap_pipedrive.errors import CursorExpiredError
from tap_pipedrive.records import Record

#: Windows read at a time by default.
WIDTH = 16
#: A walk that is over by then stays a plain one.
PLAIN_PAGES = 10
#: Pages a window is expected to hold at the least.
LEAST_PAGES = 4
#: One more split for so many pages that were read.
PAGES_PER_SPLIT = 20
#: Pages that wait to be written.
PAGES_WAITING = 4
#: Times a window starts again because its cursor expired.
MOST_RESTARTS = 3
#: Seconds to wait for threads whose pages nobody wants any more.
PATIENCE_SECONDS = 5.0

Span = list[str]
T = TypeVar("T")


def most_calls(pages: int, width: int) -> int:
    """Bound the calls of a list of ``pages`` pages that is read in windows, edits aside."""
    if width <= 1 or pages <= PLAIN_PAGES:
        return pages
    # Both ends of the order are looked at, and what follows the horizon is one more walk.
    return pages + 2 * (width + pages // PAGES_PER_SPLIT) + 3


@dataclass
class Window:
    """Update times from ``start`` (inclusive) to ``end`` (exclusive), read oldest first."""

    start: str
    end: str
    #: Update time up to which pages were fetched, handed on, and written.
    fetched: str = field(init=False)
    handed_on: str = field(init=False)
    written: str = field(init=False)
    #: Pages that are probably left, by the distance between the last two.
    pages_ahead: float = 0.0

    def __post_init__(self) -> None:
        """Begin at the start."""
        self.fetched = self.handed_on = self.written = self.start

    def fetch(self, latest: str) -> None:
        """Note that pages up to ``latest`` are fetched."""
        pace = max(1.0, seconds_between(self.fetched, latest))
        self.fetched = max(self.fetched, latest)
        self.pages_ahead = seconds_between(self.fetched, self.end) / pace

    def split(self) -> Window | None:
        """Give away the upper half of what is left, if it can be halved at all."""
        half = timedelta(seconds=seconds_between(self.fetched, self.end) // 2)
        middle = to_text(to_time(self.fetched) + half)
        if not self.fetched < middle < self.end:
            self.pages_ahead = 0.0
            return None
        upper, self.end = Window(middle, self.end), middle
        self.pages_ahead /= 2
        return upper


@dataclass
class Fetched(Generic[T]):
    """A page of a window, made ready in the thread that fetched it; the last one has no page."""

    window: Window
    ready: T | None = None
    latest: str | None = None


class Windows(Generic[T]):
    """Reads some gaps of a list side by side; one thread iterates, others fetch."""

    def __init__(
        self,
        gaps: Iterable[tuple[str, str]],
        ask: Callable[[str, str], Iterable[Page]],
        prepare: Callable[[list[Record]], T],
        *,
        read: Iterable[Span] = (),
        width: int = WIDTH,
        logger: logging.Logger | None = None,
    ) -> None:
        """Start no thread yet.

        Args:
            gaps: what to read, by update time.
            ask: walks one window, oldest first; called in other threads.
            prepare: makes of a page's records what is wanted; called in other threads.
            read: what was read before, around the gaps.
            width: threads.
            logger: where cursors that expired are reported.

        """
        self._pending = [Window(start, end) for start, end in gaps]
        self._reading: list[Window] = []
        self._ask, self._prepare = ask, prepare
        self._width = width
        self._logger = logger or logging.getLogger("tap-pipedrive")
        self._changed = threading.Condition()
        self._pages = self._splits = 0
        self._stopped = False
        self._queue: queue.Queue[Fetched[T] | BaseException | None] = queue.Queue(PAGES_WAITING)
        #: What is written, in order and disjoint; of windows under way the part below is added.
        self._written: list[Span] = join(read)
        self._begun: list[Window] = []
        #: The latest update time that was written, now or before.
        self.latest = self._written[-1][1] if self._written else ""

    # -- in the thread that writes -------------------------------------------------------------

    def __iter__(self) -> Iterator[T]:
        """Yield what was made of each page; by the time the next is asked for, it is written.

        When a thread fails, what the others have under way is still yielded before that is raised.
        """
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(self._work,), daemon=True)
            for _ in range(self._width)
        ]
        for thread in threads:
            thread.start()
        at_work, failure = len(threads), None
        try:
            while at_work:
                item = self._queue.get()
                if item is None:
                    at_work -= 1
                elif isinstance(item, BaseException):
                    failure = failure or item
                    self._stop()
                elif item.ready is None:
                    self._finish(item.window)
                else:
                    yield item.ready
                    self._note(item)
            if failure is not None:
                raise failure
        finally:
            self._stop()
            while at_work:  # nobody wants these pages any more
                try:
                    at_work -= self._queue.get(timeout=PATIENCE_SECONDS) is None
                except queue.Empty:
                    break

    def _note(self, page: Fetched[T]) -> None:
        if page.window not in self._begun:
            self._begun.append(page.window)
        page.window.written = max(page.window.written, page.latest or "")
        self.latest = max(self.latest, page.latest or "")

    def _finish(self, window: Window) -> None:
        self._written = join([*self._written, [window.start, window.end]])
        self._begun = [other for other in self._begun if other is not window]

    @property
    def written(self) -> list[Span]:
        """Spans of update time that are read and written, in order and disjoint."""
        return join([*self._written, *([w.start, w.written] for w in self._begun)])

    # -- in the threads that fetch -------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (window := self._next()) is not None:
                self._read(window)
        except BaseException as error:
            self._queue.put(error)
        finally:
            self._queue.put(None)

    def _next(self) -> Window | None:
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

    def _split(self) -> Window | None:
        allowed = self._width + self._pages // PAGES_PER_SPLIT
        if self._splits >= allowed or not self._reading:
            return None
        longest = max(self._reading, key=lambda window: window.pages_ahead)
        if longest.pages_ahead < 2 * LEAST_PAGES:
            return None
        upper = longest.split()
        if upper is not None:
            self._splits += 1
            self._changed.notify()  # there may be more to share
        return upper

    def _read(self, window: Window) -> None:
        for restarts in range(MOST_RESTARTS + 1):
            try:
                self._follow(window)
                break
            except CursorExpiredError as error:
                if restarts == MOST_RESTARTS:
                    raise
                self._logger.warning("starting a window again at %s (%s)", window.handed_on, error)
        with self._changed:
            self._reading = [other for other in self._reading if other is not window]
            self._changed.notify_all()

    def _follow(self, window: Window) -> None:
        """Follow one chain of cursors from where the window has come to its end."""
        for page in self._ask(window.handed_on, window.end):
            times = [time for r in page.records if (time := r.get("update_time"))]
            latest = to_text(to_time(max(times))) if times else None
            with self._changed:
                end = window.end  # another thread may have moved it meanwhile
                if latest is not None:
                    window.fetch(latest)
                self._pages += 1
                self._changed.notify()
            over = latest is not None and latest >= end
            records = page.records
            if over:
                records = [r for r in records if (r.get("update_time") or "") < end]
                earlier = [time for time in times if time < end]
                latest = to_text(to_time(max(earlier))) if earlier else None
            self._queue.put(Fetched(window, self._prepare(records), latest))
            window.handed_on = max(window.handed_on, latest or "")
            if over:
                break
            if self._stopped:
                return
        self._queue.put(Fetched(window))

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
