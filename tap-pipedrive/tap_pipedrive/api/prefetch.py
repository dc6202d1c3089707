"""Send requests ahead of time: the first pages of the next lists, and the logs of the next deals.

A round trip takes some 300 ms, so requests that are sent one after the other make three a second,
where the smallest plan allows ten. A :class:`Prefetcher` sends a few requests in other threads; the
burst window still decides how many are sent at the same time.

Half an hour after the last sync nearly every list has a page or less, so such a sync is a row of
first pages. Every list has one, so a :class:`Prefetch` of it costs no extra call. Later pages are
requested one after the other; long lists are read in windows (:mod:`tap_pipedrive.sync.windows`).

A prefetched page may be old when it is used. That is safe: a bookmark never passes the time of the
response with the first page (``Page.answered_at``).
"""

from __future__ import annotations

import contextvars
import queue
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from tap_pipedrive import threads
from tap_pipedrive.api.responses import Page

Request = TypeVar("Request", bound=Hashable)
Result = TypeVar("Result")


class Prefetcher(Generic[Request, Result]):
    """Keeps up to ``width`` requests running, in the order in which their results are used."""

    def __init__(self, send: Callable[[Request], Result], width: int) -> None:
        """Start no thread before the first request.

        Args:
            send: sends one request and returns its result; called in other threads.
            width: requests that run at the same time; 1 sends each one when its result is needed.

        """
        self._send = send
        self._width = width
        self._threads: list[threads.Thread] = []
        #: What the threads do next; None ends one.
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._next: Iterator[Request] = iter(())
        self._running: OrderedDict[Request, Future[Result]] = OrderedDict()

    def expect(self, requests: Iterable[Request]) -> None:
        """Set the next requests, in order; those expected before are cancelled."""
        self._cancel()
        self._next = iter(requests)
        self._fill()

    def result(self, request: Request) -> Result:
        """Return the result of a request; one that was not expected is sent now.

        Raises:
            OutOfMemoryError: a thread was lost.
            Exception: what the request raised.

        """
        future = self._running.pop(request, None)
        if future is None:
            return self._send(request)
        self._fill()
        return threads.result(future, self._threads)

    def close(self, *, wait: bool = True) -> None:
        """Cancel the requests that are left, and end the threads."""
        self._cancel()
        ended, self._threads = self._threads, []
        for _ in ended:
            self._tasks.put(None)
        for thread in ended if wait else ():
            thread.join()

    def _fill(self) -> None:
        if self._width <= 1:
            return
        while len(self._running) < self._width:
            request = next(self._next, None)
            if request is None:
                return
            if len(self._threads) < self._width:
                thread = threads.Thread(self._work)
                thread.start()
                self._threads.append(thread)
            future: Future[Result] = Future()
            # Each thread logs in the context (run, page) of the thread that expects the request.
            context = contextvars.copy_context()
            self._tasks.put(partial(context.run, self._answer, request, future))
            self._running[request] = future

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    def _answer(self, request: Request, future: Future[Result]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            found = self._send(request)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(found)

    def _cancel(self) -> None:
        self._next = iter(())
        for future in self._running.values():
            future.cancel()
        self._running.clear()


@dataclass(frozen=True)
class ListRequest:
    """A list that will be read: the stream, the operation, and the time from which it is read."""

    stream: str
    operation: str
    since: str | None = None
    pages: Callable[[], Iterable[Page]] = field(compare=False, kw_only=True)


class Prefetch:
    """The lists whose first page is requested ahead of time."""

    def __init__(self, width: int) -> None:
        """Request nothing yet.

        Args:
            width: first pages that are requested, or waiting to be used; 1 prefetches none.

        """
        self._prefetcher: Prefetcher[ListRequest, tuple[list[Page], Iterator[Page]]]
        self._prefetcher = Prefetcher(_first_page, width)
        self._expected: Iterable[ListRequest] = ()

    def expect(self, requests: Iterable[ListRequest]) -> None:
        """Set the lists that will be read, in order; the first response starts the prefetch.

        From that response on the source's date is known. Without it, tokens would be booked on a
        wrong day.
        """
        self._expected = requests

    def pages(self, request: ListRequest) -> Iterator[Page]:
        """Yield the pages of a list; the first one may be there already.

        Raises:
            TapError: whatever the request for a page raised, in this thread or another.

        """
        first, others = self._prefetcher.result(request)
        expected, self._expected = self._expected, ()
        if expected:
            self._prefetcher.expect(other for other in expected if other != request)
        yield from first
        yield from others

    def close(self, *, wait: bool = True) -> None:
        """Cancel the requests that are left."""
        self._prefetcher.close(wait=wait)


def _first_page(request: ListRequest) -> tuple[list[Page], Iterator[Page]]:
    others = iter(request.pages())
    return [page for page in [next(others, None)] if page is not None], others
