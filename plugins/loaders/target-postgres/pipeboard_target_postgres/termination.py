"""SIGTERM and SIGINT: the handler only sets a flag; code that waits checks it."""

from __future__ import annotations

import signal
import threading
import time
import typing as t

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """A signal has requested the end of the run.

    Not an `Exception`, so that no `except Exception` on the way to the command line catches it.
    """

    def __init__(self, signum: int, at: float) -> None:
        super().__init__(f"Stopped by {signal.Signals(signum).name}")
        #: Time of the signal, by the monotonic clock.
        self.at = at
        self.exit_code = 128 + signum


class StopRequest:
    """Records whether a signal has requested the end of this process."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._at = 0.0
        self._before: dict[int, t.Any] = {}

    def install(self) -> bool:
        """Install handlers for both signals (main thread only); True if they were installed now."""
        if self._before or threading.current_thread() is not threading.main_thread():
            return False
        self._before = {number: signal.signal(number, self.handle) for number in _SIGNALS}
        return True

    def restore(self) -> None:
        """Restore the earlier handlers, and forget a request."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before, self.signum = {}, None

    def ignore(self) -> None:
        """Ignore both signals during the last steps of a run."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def handle(self, signum: int, _frame: t.Any = None) -> None:
        """Record the first signal; the second one ends the process at once."""
        self.signum, self._at = signum, time.monotonic()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def check(self) -> None:
        """Return if the run may go on.

        Raises:
            Stopped: a signal has come.
        """
        if self.signum is not None:
            raise Stopped(self.signum, self._at)


#: Signals are sent to the process, so there is only one instance.
STOP = StopRequest()
