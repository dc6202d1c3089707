"""Watching a run: its log, its limits, its lock, and whoever asks it to end."""

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
from pipeboard.problems import ExitCode
from pipeboard.run import history
from pipeboard.run.child import Child
from pipeboard.run.run_log import RunLog

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.run.memory import Memory
    from pipeboard.run.session import RunSession

#: Seconds between two signs of life in the history.
BEAT = 5.0
#: Seconds between two looks at what memory is used.
MEMORY_SECONDS = 0.5
#: The loader tries as long to come back to a database that went away.
DATABASE_PATIENCE = 60.0


@dataclass
class Watched:
    """What a run showed from outside.

    Attributes:
        code: exit code of the command, 128 + N for signal N.
        stopped_by: exit code and reason, if it was us who ended it.
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
    log_out = _LogFile(log_file, console)
    child = Child(command, root, environ, session.lock.socket)
    guard = _Guard(child, session, watched, log, memory)
    try:
        while (line := child.line(timeout=0.5)) is not None:
            step, since = log.step, guard.now
            if line:
                said = ANSI.sub("", session.world.redact(line))
                log_out.write(said)
                log.read(line)
                console.pass_on(said)
            guard.look(progressed=bool(line))
            watched.step_seconds[step] += guard.now - since
            console.progress(session.job.name, log.progress, guard.now - guard.began)
        # It may have closed its output and live on.
        while child.lives(0.5):
            guard.look(progressed=False)
        console.clear()
        watched.code = child.close()
    except BaseException:
        child.end()
        child.close()
        raise
    finally:
        log_out.close()
    if child.lost_keeper and not watched.stopped_by:
        watched.stopped_by = (ExitCode.UNAVAILABLE, "its keeper was killed")
    guard.last_look()
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

    def look(self, *, progressed: bool) -> None:
        """Look at everything once; called every half second at least."""
        self.now = time.monotonic()
        if progressed:
            self._progress_at = self.now
        if self._session.signals.asked:
            self._stop(self._session.signals.exit_code, self._session.signals.words)
            if self._session.signals.again:
                self._child.kill()
        if self.now - self._memory_at >= MEMORY_SECONDS:
            self._memory_at = self.now
            self._memory.look()
        if self.now - self._beat_at >= BEAT:
            self._beat_at = self.now
            self._beat()
        if self.now - self.began > self._session.job.timeout:
            words = (
                f"not done within {self._session.job.timeout:,.0f} s (PIPEBOARD_TIMEOUT_SECONDS)"
            )
            self._stop(ExitCode.UNAVAILABLE, words)
        if self.now - self._progress_at > self._session.job.stall:
            words = f"no progress for {self._session.job.stall:,.0f} s (PIPEBOARD_STALL_SECONDS)"
            self._stop(ExitCode.UNAVAILABLE, words)

    def last_look(self) -> None:
        """Find out whether the database is still there, if the run failed."""
        if self._watched.code:
            self._beat()

    def _stop(self, code: int, reason: str) -> None:
        if self._watched.stopped_by is None:
            self._watched.stopped_by = (code, reason)
            self._child.end()

    def _beat(self) -> None:
        """Give a sign of life, learn of progress, and keep the lock."""
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
                words = f"went away; waiting up to {DATABASE_PATIENCE:.0f} s for it"
                self._session.console.note("database", words)

    def _come_back(self) -> None:
        """Take the lock again; end the run if that takes too long or somebody else has it."""
        assert self._lost_at is not None
        if self._session.lock.retake():
            if history.is_running(self._session.connection, self._session.run_id):
                self._child.hold(self._session.lock.socket)
                self._lost_at = None
                return
            self._stop(ExitCode.UNAVAILABLE, "another run took over while the database was away")
            self._child.kill()
        elif self.now - self._lost_at > DATABASE_PATIENCE:
            self._stop(ExitCode.UNAVAILABLE, "the database stayed away, and the lock with it")
