"""Threads whose loss for lack of memory ends the run: no other thread waits for them for ever."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import TypeVar

from tap_pipedrive import termination
from tap_pipedrive.errors import OutOfMemoryError

Result = TypeVar("Result")

#: A thread that has not begun after so many seconds is lost. A busy machine starts one sooner.
START_SECONDS = 30.0
#: How often a thread that waits for another one looks whether that is still there.
LOOK_SECONDS = 1.0


class _LimitedEvent(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        if super().wait(START_SECONDS if timeout is None else timeout):
            return True
        raise OutOfMemoryError


class Thread(threading.Thread):
    """A daemon thread whose start has a time limit.

    Without memory for its first frame a new thread ends before it says that it runs, and
    :meth:`threading.Thread.start` waits for that without limit (CPython 3.10 to 3.14).
    """

    def __init__(self, work: Callable[[], object]) -> None:
        """Start nothing yet."""
        super().__init__(target=work, daemon=True)
        self._started = _LimitedEvent()  # the name that CPython's own class gives it

    def run(self) -> None:
        """Work; the thread that waits for this one reports that it was lost."""
        with contextlib.suppress(MemoryError):
            super().run()


def result(future: Future[Result], workers: Iterable[Thread]) -> Result:
    """Return the result of what one of these threads does, all of which run until their end is due.

    Raises:
        OutOfMemoryError: a thread was lost.
        TerminationRequested: a signal ends the run.
        Exception: what the work raised.

    """
    with termination.at_once():
        while not future.done():
            wait([future], LOOK_SECONDS)
            if not (future.done() or all(worker.is_alive() for worker in workers)):
                raise OutOfMemoryError
        return future.result()
