"""End a run on SIGTERM or SIGINT with a good state, a report and exit code 143 or 130.

The handler sets a flag. It raises only while the main thread waits (for a response, a free slot of
the rate limit, another thread), never while the tap writes messages or moves bookmarks. Therefore
the state that is written afterwards never claims more than the records that were written.

Signals belong to the process, and so does this module's state.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

#: A second signal within this time is the same request, delivered twice (process and group).
SAME_REQUEST_SECONDS = 0.5
#: The process ends after this time, even if its output is not read.
TIMEOUT_SECONDS = 12.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TerminationRequested(BaseException):
    """A signal ended the run; not an error, so that error handlers do not catch it."""

    def __init__(self, signum: int) -> None:
        """Keep the number of the signal."""
        super().__init__(f"ended by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


_requested_by: int | None = None
_requested_at = 0.0
_may_raise = False
_before_timeout: Callable[[], None] = lambda: None  # noqa: E731


@contextlib.contextmanager
def handled(before_timeout: Callable[[], None]) -> Iterator[None]:
    """Handle both signals during a run.

    Args:
        before_timeout: called when the run does not end in time, before the process is ended.

    """
    global _requested_by, _before_timeout
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _requested_by, _before_timeout = None, before_timeout
    previous = {number: signal.signal(number, _on_signal) for number in _SIGNALS}
    try:
        yield
    finally:
        if _requested_by is None:
            for number, handler in previous.items():
                signal.signal(number, handler)


def end_at_once() -> None:
    """Let both signals end the process with their exit code, before a run begins."""
    for number in _SIGNALS:
        signal.signal(number, lambda number, _: os._exit(128 + number))


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Mark a wait that a signal may interrupt.

    Raises:
        TerminationRequested: a signal ends the run.

    """
    with _raising(True):
        check()
        yield


@contextlib.contextmanager
def later() -> Iterator[None]:
    """Mark a block inside :func:`at_once` that a signal must not interrupt."""
    with _raising(False):
        yield


def requested_by() -> int | None:
    """Return the signal that ends the run, None without one."""
    return _requested_by


def check() -> None:
    """Raise if a signal ends the run.

    Raises:
        TerminationRequested: a signal was received.

    """
    if _requested_by is not None:
        raise TerminationRequested(_requested_by)


@contextlib.contextmanager
def _raising(allowed: bool) -> Iterator[None]:
    global _may_raise
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, _may_raise = _may_raise, allowed
    try:
        yield
    finally:
        _may_raise = before


def _on_signal(number: int, _: FrameType | None) -> None:
    global _requested_by, _requested_at
    if _requested_by is not None:
        if time.monotonic() - _requested_at > SAME_REQUEST_SECONDS:
            os._exit(128 + number)
        return
    _requested_by, _requested_at = number, time.monotonic()
    if hasattr(signal, "setitimer"):  # pragma: no branch: Windows has no such call
        signal.signal(signal.SIGALRM, _on_timeout)
        signal.setitimer(signal.ITIMER_REAL, TIMEOUT_SECONDS)
    if _may_raise:
        raise TerminationRequested(number)


def _on_timeout(*_: object) -> None:
    assert _requested_by is not None
    try:
        _before_timeout()
    finally:
        os._exit(128 + _requested_by)
