"""SIGTERM and SIGINT: the handler only sets a flag, and whoever waits looks at it."""

from __future__ import annotations

import signal
import threading
import time
import typing as t

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """The run was asked to end by a signal.

    No `Exception`, so that nothing between a wait and the command line swallows it.
    """

    def __init__(self, signum: int, at: float) -> None:
        super().__init__(f"Stopped by {signal.Signals(signum).name}")
        #: When the signal came, by the monotonic clock.
        self.at = at
        self.exit_code = 128 + signum


class StopRequest:
    """Whether a signal has asked this process to end."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._at = 0.0
        self._before: dict[int, t.Any] = {}

    def install(self) -> bool:
        """Take over both signals, which only the main thread may; True if that is new."""
        if self._before or threading.current_thread() is not threading.main_thread():
            return False
        self._before = {number: signal.signal(number, self.handle) for number in _SIGNALS}
        return True

    def restore(self) -> None:
        """Give both signals back, and forget a request."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before, self.signum = {}, None

    def ignore(self) -> None:
        """Let the last steps of a run that has ended be undisturbed."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def handle(self, signum: int, _frame: t.Any = None) -> None:
        """Note the first signal; the second one ends the process at once."""
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


#: Signals are the process's, so there is one of these.
STOP = StopRequest()
