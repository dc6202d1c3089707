"""What every run has: the run lock, a row in the history from its start, and a recorded end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from pipeboard.database import first_line
from pipeboard.outcomes import INTERRUPTED, SKIPPED
from pipeboard.run import history
from pipeboard.run.child import Signals
from pipeboard.run.history import End, new_run_id
from pipeboard.run.ops import migrate
from pipeboard.run.reporting import end_of
from pipeboard.run.run_lock import RunLock

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.run.jobs import Job
    from pipeboard.run.proof import StreamOutcome

#: A database that went away gets this long to come back before the end of a run is not recorded.
DATABASE_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class RunSession:
    """One run, from the wait for its lock to its end in the history.

    Attributes:
        began: when the run was requested, in seconds since 1970.

    """

    environment: Environment
    job: Job
    console: Console
    lock: RunLock
    signals: Signals
    run_id: str
    began: float

    @property
    def connection(self) -> psycopg.Connection:
        """The connection that holds the lock; another one after the database was away."""
        return self.lock.connection

    def begin(self) -> End | None:
        """Take the lock, and wait for it as long as the job may; then record the start.

        Returns:
            None if the run has begun; else how it ended: skipped, or interrupted while it waited.

        """
        waits_since = time.monotonic()
        while not self.lock.take():
            other = history.who_runs(self.connection, self.job.concurrency_group)
            waited = time.monotonic() - waits_since
            if waited >= self.job.wait or self.signals.received:
                return self._skip(other)
            text = f"waiting up to {self.job.wait:,.0f} s: {other}"
            self.console.progress(self.job.name, text, waited)
            time.sleep(0.5)
        self.console.clear()
        history.begin(self.connection, self.run_id, self.job, self.environment.name)
        self.console.event("run started")
        return None

    def _skip(self, other: str) -> End:
        end = End(SKIPPED, 0, other)
        if self.signals.received:
            reason = f"{self.signals.reason} while it waited: {other}"
            end = End(INTERRUPTED, self.signals.exit_code, reason)
        history.note_ended(
            *(self.connection, self.run_id, self.job, self.environment.name, self.began, end)
        )
        self.console.note(end.status, f"{end.reason}; nothing was done")
        return end

    def end_of(self, error: BaseException) -> End:
        """Return the end of a run that an error ended."""
        if self.signals.received:
            return End(INTERRUPTED, self.signals.exit_code, self.signals.reason, "pipeboard")
        return end_of(error, self.environment.redact)

    def finish(self, end: End, streams: Sequence[StreamOutcome] = ()) -> None:
        """Record the end. Nothing that goes wrong here changes how the run ended."""
        deadline = time.monotonic() + DATABASE_WAIT_SECONDS
        is_announced = False
        while True:
            try:
                history.note_streams(self.connection, self.run_id, streams)
                history.finish(self.connection, self.run_id, end)
                break
            except psycopg.Error as error:
                if time.monotonic() >= deadline or self.signals.repeated:
                    self.console.note("history", f"could not be written: {first_line(error)}")
                    break
                if not is_announced:
                    is_announced = True
                    text = f"waiting up to {DATABASE_WAIT_SECONDS:.0f} s for the database, to "
                    self.console.note("history", f"{text}record the end: {first_line(error)}")
            time.sleep(1)
            self.lock.retake()
        self.console.event(
            "run ended",
            status=end.status,
            exit_code=end.exit_code,
            reason=end.reason,
            failed_stage=end.failed_stage,
            rows=end.rows,
            calls=end.calls,
            tokens=end.tokens,
            behind=end.details.get("behind") or [],
            phases=end.details.get("phases") or {},
        )


@contextmanager
def run_session(
    environment: Environment, job: Job, console: Console, began: float | None = None
) -> Iterator[RunSession]:
    """Connect to the warehouse and bring schema `ops` up to date; SIGINT and SIGTERM are noted.

    Raises:
        PipeboardError: the database cannot be reached, or does not permit it.

    """
    run_id = new_run_id()
    with (
        Signals().recorded() as signals,
        closing(RunLock(environment.database, job.concurrency_group, run_id)) as lock,
    ):
        migrate(lock.connection, console)
        console.context.update(run_id=run_id, job=job.name)
        yield RunSession(environment, job, console, lock, signals, run_id, began or time.time())
