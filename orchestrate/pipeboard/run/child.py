"""Meltano as a child: watched, told to end, and never left behind."""

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

from pipeboard.problems import ExitCode, Problem
from pipeboard.run import keeper

#: Seconds from "please end" to the end; a loader may have a batch to write and a state to let out.
#: Less than the 30 that Kubernetes gives us.
GRACE = 20.0


class Child:
    """A command and all that it starts, with a keeper between us and it."""

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path,
        environ: Mapping[str, str],
        lock: int,
        grace: float = GRACE,
    ) -> None:
        """Start it.

        Args:
            command: what to run.
            cwd: where.
            environ: its whole environment.
            lock: the socket to hold as long as it lives.
            grace: seconds between asking it to end and ending it.

        Raises:
            Problem: it does not start.

        """
        self._channel, theirs = socket.socketpair()
        self._grace = grace
        self._timer: threading.Timer | None = None
        with theirs:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(keeper.__file__), str(theirs.fileno())]
                + [str(grace), *command],
                cwd=cwd,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[theirs.fileno()],
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        self.hold(lock)
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=10_000)
        with self._channel.makefile() as said:
            first = said.readline()
        if not first:
            words = self._keeper.communicate()[0].strip()
            what = f"the run does not start: {words or 'no reason given'}"
            raise Problem(what, "Run `make setup`", ExitCode.CONFIGURATION)
        self._group = int(first)
        threading.Thread(target=self._pump, daemon=True).start()

    def hold(self, lock: int) -> None:
        """Let the keeper hold another socket."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._channel, [b"lock"], [lock])

    def line(self, timeout: float) -> str | None:
        """Return the next line it said, "" if there is none in time, None when all has ended."""
        if self.lost_keeper:
            # Nobody would end it if we died, so it ends now.
            self.end()
        try:
            return self._lines.get(timeout=timeout)
        except queue.Empty:
            return ""

    @property
    def keeper_pid(self) -> int:
        """The process number of the keeper."""
        return self._keeper.pid

    @property
    def lost_keeper(self) -> bool:
        """Whether the keeper was killed."""
        code = self._keeper.poll()
        return code is not None and code < 0

    def end(self) -> None:
        """Ask it to end, once; after the grace everything is ended.

        It asks those it started itself. Asked twice, a loader would drop what it is writing.
        """
        if self._timer is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._group, signal.SIGTERM)
            self._timer = threading.Timer(self._grace, self.kill)
            self._timer.daemon = True
            self._timer.start()

    def kill(self) -> None:
        """End all of it now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, signal.SIGKILL)

    def lives(self, timeout: float) -> bool:
        """Wait so long for the end of all of it; return whether anything lives."""
        try:
            self._keeper.wait(timeout)
        except subprocess.TimeoutExpired:
            return True
        return False

    def close(self) -> int:
        """Wait for its end; return its exit code, 128 + N for signal N."""
        code = self._keeper.wait()
        if code < 0:
            # The keeper was killed, so we wait for what it kept. That nothing is said any more
            # does not mean that nothing lives: output may go elsewhere, and ends before a process.
            self.end()
            keeper.is_gone(self._group, self._grace + 1.0)
        if self._timer is not None:
            self._timer.cancel()
        self._channel.close()
        return code if code >= 0 else 128 - code

    def _pump(self) -> None:
        assert self._keeper.stdout is not None
        for line in self._keeper.stdout:
            self._lines.put(line)
        self._lines.put(None)


class Signals:
    """Notes that somebody asked us to end, instead of ending on the spot."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.asked: int | None = None
        self.again = False

    @contextmanager
    def noted(self) -> Iterator[Signals]:
        """Note SIGINT and SIGTERM inside the block."""

        def note(number: int, _frame: object) -> None:
            self.again = self.asked is not None
            self.asked = number

        if threading.current_thread() is not threading.main_thread():
            yield self  # signals go to the main thread alone
            return
        kept = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    @property
    def words(self) -> str:
        """Say who asked."""
        return f"interrupted by {signal.Signals(self.asked or signal.SIGTERM).name}"

    @property
    def exit_code(self) -> int:
        """Return what a shell says of a command that was ended so."""
        return 128 + (self.asked or signal.SIGTERM)
