"""Meltano as a child process, with a watchdog so that it never outlives the supervisor."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.run import watchdog

#: Seconds from SIGTERM to SIGKILL: the loader may have to write a batch and emit its state. Less
#: than the 30 seconds of Kubernetes.
GRACE = 20.0


class Child:
    """A command and its children, started by a watchdog."""

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path,
        environ: Mapping[str, str],
        lock: int,
        grace: float = GRACE,
    ) -> None:
        """Start the command.

        Args:
            command: what to run.
            cwd: where.
            environ: its whole environment.
            lock: the socket to hold as long as it lives.
            grace: seconds from SIGTERM to SIGKILL.

        Raises:
            PipeboardError: it does not start.

        """
        self._channel, watchdog_end = socket.socketpair()
        self._grace = grace
        self._timer: threading.Timer | None = None
        with watchdog_end:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", str(watchdog.__file__), str(watchdog_end.fileno())]
                + [str(grace), *command],
                cwd=cwd,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[watchdog_end.fileno()],
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        self.hold(lock)
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=10_000)
        with self._channel.makefile() as reply:
            first = reply.readline()
        if not first:
            self._channel.close()
            reason = self._watchdog.communicate()[0].strip()
            what = f"the run does not start: {reason or 'no reason given'}"
            raise PipeboardError(what, "Run `make setup`", ExitCode.CONFIGURATION)
        self._group = int(first)
        threading.Thread(target=self._pump, daemon=True).start()

    def hold(self, lock: int) -> None:
        """Give the watchdog another socket to hold."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._channel, [b"lock"], [lock])

    def line(self, timeout: float) -> str | None:
        """Return the next line of output, "" if none comes in time, None after its end."""
        if self.lost_watchdog:
            # Nothing would end the run if the supervisor died, so it ends now.
            self.end()
        try:
            return self._lines.get(timeout=timeout)
        except queue.Empty:
            return ""

    @property
    def watchdog_pid(self) -> int:
        """The process number of the watchdog."""
        return self._watchdog.pid

    @property
    def lost_watchdog(self) -> bool:
        """Whether the watchdog was killed."""
        code = self._watchdog.poll()
        return code is not None and code < 0

    def end(self) -> None:
        """Send SIGTERM once; after the grace all processes are killed.

        The command passes the signal on. A second one would make a loader drop its batch.
        """
        if self._timer is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._group, signal.SIGTERM)
            self._timer = threading.Timer(self._grace, self.kill)
            self._timer.daemon = True
            self._timer.start()

    def kill(self) -> None:
        """Kill the command and its children."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, signal.SIGKILL)

    def lives(self, timeout: float) -> bool:
        """Wait `timeout` seconds for the end of all processes; return whether any is left."""
        try:
            self._watchdog.wait(timeout)
        except subprocess.TimeoutExpired:
            return True
        return False

    def close(self) -> int:
        """Wait for its end; return its exit code, 128 + N for signal N."""
        code = self._watchdog.wait()
        if code < 0:
            # The watchdog was killed, so the supervisor waits for the group. The end of the output
            # is no proof: it may be redirected, and closes before the process ends.
            self.end()
            watchdog.is_gone(self._group, self._grace + 1.0)
        if self._timer is not None:
            self._timer.cancel()
        self._channel.close()
        return code if code >= 0 else 128 - code

    def _pump(self) -> None:
        assert self._watchdog.stdout is not None
        with self._watchdog.stdout as output:
            for line in output:
                self._lines.put(line)
        self._lines.put(None)


class Signals:
    """Records SIGINT and SIGTERM instead of ending at once."""

    def __init__(self) -> None:
        """No signal has come yet."""
        self.received: int | None = None
        self.repeated = False

    @contextmanager
    def recorded(self) -> Iterator[Signals]:
        """Note SIGINT and SIGTERM inside the block."""

        def note(number: int, _frame: object) -> None:
            self.repeated = self.received is not None
            self.received = number

        if threading.current_thread() is not threading.main_thread():
            yield self  # signals go to the main thread alone
            return
        handlers = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    @property
    def reason(self) -> str:
        """The reason of the end, for messages."""
        return f"interrupted by {signal.Signals(self.received or signal.SIGTERM).name}"

    @property
    def exit_code(self) -> int:
        """The exit code that a shell gives a command ended by this signal."""
        return 128 + (self.received or signal.SIGTERM)
