"""Watches a run: its log, its limits, its lock and signals."""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import psycopg

from pipeboard.console import ANSI
from pipeboard.errors import ExitCode
from pipeboard.run import history
from pipeboard.run.child import Child
from pipeboard.run.run_log import RunLog

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.run.memory import Memory
    from pipeboard.run.session import RunSession

#: Seconds between two updates of the row of the run.
BEAT = 5.0
#: Seconds between two measurements of memory.
MEMORY_SECONDS = 0.5
#: A database that went away gets this long to come back; the loader waits as long.
DATABASE_TIMEOUT_SECONDS = 60.0


@dataclass
class Watched:
    """What the supervisor observed of a run.

    Attributes:
        code: exit code of the command, 128 + N for signal N.
        stopped_by: exit code and reason, if the supervisor ended it.
        lost_database: whether the database went away meanwhile, even if it came back.
        step_seconds: how long each step took.

    """

    code: int = 0
    stopped_by: tuple[int, str] | None = None
    lost_database: bool = False
    step_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))


def watch(
    command: Sequence[str],
    environ: Mapping[str, str],
    session: RunSession,
    *,
    root: Path,
    log: RunLog,
    log_file: Path,
    memory: Memory,
) -> Watched:
    """Run a command to its end, or until a limit or a signal ends it."""
    console = session.console
    watched = Watched()
    with contextlib.ExitStack() as if_not_started:
        log_out = _LogFile(log_file, console)
        if_not_started.callback(log_out.close)
        child = Child(command, root, environ, session.lock.socket)
        if_not_started.pop_all()
    guard = _Guard(child, session, watched, log, memory)
    try:
        while (line := child.line(timeout=0.5)) is not None:
            step, since = log.step, guard.now
            if line:
                shown = ANSI.sub("", session.environment.redact(line))
                log_out.write(shown)
                log.read(line)
                console.pass_on(shown)
            guard.check(progressed=bool(line))
            watched.step_seconds[step] += guard.now - since
            console.progress(session.job.name, log.progress, guard.now - guard.began)
        # It may have closed its output and still run.
        while child.lives(0.5):
            guard.check(progressed=False)
        console.clear()
        watched.code = child.close()
    except BaseException:
        child.end()
        child.close()
        raise
    finally:
        log_out.close()
    if child.lost_watchdog and not watched.stopped_by:
        watched.stopped_by = (ExitCode.UNAVAILABLE, "its watchdog was killed")
    guard.last_check()
    return watched


class _LogFile:
    """The log of a run; a full disk ends the log, not the run."""

    def __init__(self, path: Path, console: Console) -> None:
        self._path, self._console = path, console
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._out: TextIO | None = os.fdopen(descriptor, "w", encoding="utf-8")

    def write(self, line: str) -> None:
        if self._out is None:
            return
        try:
            self._out.write(line)
            self._out.flush()
        except OSError as error:
            self.close()
            self._console.note("log", f"{self._path} ends here: {error.strerror}")

    def close(self) -> None:
        if self._out is not None:
            with contextlib.suppress(OSError):
                self._out.close()
            self._out = None


class _Guard:
    """Ends a run for a reason."""

    def __init__(
        self,
        child: Child,
        session: RunSession,
        watched: Watched,
        log: RunLog,
        memory: Memory,
    ) -> None:
        self._child, self._session = child, session
        self._watched, self._memory = watched, memory
        self._log = log
        self.began = self.now = time.monotonic()
        self._progress_at = self._beat_at = self._memory_at = self.began
        self._lost_at: float | None = None

    def check(self, *, progressed: bool) -> None:
        """Check limits, signals, memory and lock; called at least every half second."""
        self.now = time.monotonic()
        if progressed:
            self._progress_at = self.now
        if self._session.signals.received:
            self._stop(self._session.signals.exit_code, self._session.signals.reason)
            if self._session.signals.repeated:
                self._child.kill()
        if self.now - self._memory_at >= MEMORY_SECONDS:
            self._memory_at = self.now
            self._memory.measure()
        if self.now - self._beat_at >= BEAT:
            self._beat_at = self.now
            self._beat()
        if self.now - self.began > self._session.job.timeout:
            text = f"not done within {self._session.job.timeout:,.0f} s (PIPEBOARD_TIMEOUT_SECONDS)"
            self._stop(ExitCode.UNAVAILABLE, text)
        if self.now - self._progress_at > self._session.job.stall:
            text = f"no progress for {self._session.job.stall:,.0f} s (PIPEBOARD_STALL_SECONDS)"
            self._stop(ExitCode.UNAVAILABLE, text)

    def last_check(self) -> None:
        """Check whether the database is still there, if the run failed."""
        if self._watched.code:
            self._beat()

    def _stop(self, code: int, reason: str) -> None:
        if self._watched.stopped_by is None:
            self._watched.stopped_by = (code, reason)
            self._child.end()

    def _beat(self) -> None:
        """Update the row of the run, note progress, and keep the lock."""
        try:
            if self._lost_at is not None:
                self._come_back()
                return
            loaded = history.sign_of_life(self._session.connection, self._session.run_id)
            if loaded != self._log.loaded:
                self._log.loaded, self._progress_at = loaded, self.now
        except psycopg.Error:
            self._watched.lost_database = True
            if self._lost_at is None:
                self._lost_at = self.now
                text = f"went away; waiting up to {DATABASE_TIMEOUT_SECONDS:.0f} s for it"
                self._session.console.note("database", text)

    def _come_back(self) -> None:
        """Take the lock again; end the run if that takes too long or another run has it."""
        assert self._lost_at is not None
        if self._session.lock.retake():
            if history.is_running(self._session.connection, self._session.run_id):
                self._child.hold(self._session.lock.socket)
                self._lost_at = None
                return
            self._stop(ExitCode.UNAVAILABLE, "another run took over while the database was away")
            self._child.kill()
        elif self.now - self._lost_at > DATABASE_TIMEOUT_SECONDS:
            self._stop(ExitCode.UNAVAILABLE, "the database stayed away, and the lock with it")
