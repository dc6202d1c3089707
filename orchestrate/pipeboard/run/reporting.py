"""Reports to history and metrics how a command ended before its run had the lock.

A run that holds its lock reports its end itself (runner.py). Before that, anything can be missing:
settings, the folder for local state, the database. History and metrics get the end where they can
be reached.
"""

from __future__ import annotations

import errno
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click
import psycopg

from pipeboard.bounded import within
from pipeboard.database import connect, first_line
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.outcomes import BEHIND, FAILED, INTERRUPTED
from pipeboard.redaction import Redactor
from pipeboard.run import history
from pipeboard.run.history import End, new_run_id
from pipeboard.run.metrics import PUSH_TIMEOUT_SECONDS, MetricSet, push
from pipeboard.run.ops import migrate
from pipeboard.run.run_metrics import PHASES, of_end, of_history

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.run.jobs import Job

#: Seconds to wait for the database.
LOGIN_SECONDS = 5
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_REPORTED = "pipeboard_reported"


@dataclass
class CommandScope:
    """The facts about a command while it prepares its run.

    Attributes:
        given: the settings, as far as they could be read.
        find_database: answers with the URL of the database, None where none is in reach.
        environment: where the run takes place, once that is known.
        is_recorded: whether the end of the run is recorded; what fails later is not the run.

    """

    job: Job
    console: Console
    given: Mapping[str, str]
    find_database: Callable[[], str | None] = lambda: None
    environment: Environment | None = None
    began: float = field(default_factory=time.time)
    is_recorded: bool = False

    @property
    def gateway(self) -> str | None:
        """The URL of the Pushgateway; None if none is set."""
        return (self.environment.variables if self.environment else self.given).get(
            "PUSHGATEWAY_URL"
        )

    @property
    def environment_name(self) -> str:
        """The name of Meltano's environment."""
        return (
            self.environment.name
            if self.environment
            else self.given.get("MELTANO_ENVIRONMENT", "dev")
        )

    @property
    def redact(self) -> Redactor:
        """What removes the secrets of the run from a text."""
        return self.environment.redact if self.environment else Redactor.of(self.given)

    def database_url(self) -> str | None:
        """Return where the history is, None if it is unknown."""
        if self.environment:
            return self.environment.database.url
        try:
            return self.given.get("PIPEBOARD_DATABASE_URL") or self.find_database()
        except (PipeboardError, OSError, psycopg.Error):
            return None


@contextmanager
def report_failures(scope: CommandScope) -> Iterator[CommandScope]:
    """Report any error that ends the block, unless the run inside has reported it already.

    A wrong command line (exit code 64) is reported on the terminal only.
    """
    with _sigterm_raises():
        try:
            yield scope
        except BaseException as error:
            known = as_pipeboard_error(error)
            reported = known or error
            is_usage = isinstance(reported, PipeboardError) and reported.code == ExitCode.USAGE
            if not (is_usage or is_reported(error) or scope.is_recorded):
                _report(scope, reported)
            mark_reported(reported)
            if known is not None and known is not error:
                raise known from error
            raise


def mark_reported(error: BaseException) -> None:
    """Note that an error was reported to history and metrics."""
    error.__dict__[_REPORTED] = True


def is_reported(error: BaseException) -> bool:
    """Tell whether an error was reported to history and metrics."""
    return _REPORTED in error.__dict__


def as_pipeboard_error(error: BaseException) -> PipeboardError | None:
    """Return an error of the machine or the database with a remedy; None for any other error."""
    if isinstance(error, PipeboardError):
        return error
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        what = f"no space is left for {error.filename or 'what the run writes'}"
        return PipeboardError(what, "Make room, then run again", ExitCode.UNAVAILABLE)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return PipeboardError(f"{type(error).__name__}: {error}", "Run again", ExitCode.UNAVAILABLE)
    if isinstance(error, OSError) and error.filename:
        what = f"{error.filename} cannot be used: {error.strerror}"
        return PipeboardError(
            what, "Check its owner and rights (`make doctor`)", ExitCode.CONFIGURATION
        )
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        what = f"the database does not permit it: {first_line(error)}"
        return PipeboardError(what, "Check the role with `make doctor`", ExitCode.NOT_PERMITTED)
    if isinstance(error, psycopg.OperationalError):
        what = f"the database does not answer as it should: {first_line(error)}"
        return PipeboardError(
            what, "Check it with `make doctor`, and run again", ExitCode.UNAVAILABLE
        )
    return None


def end_of(error: BaseException, redact: Callable[[str], str]) -> End:
    """Return the end of a command that failed with an error."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return End(INTERRUPTED, 130, "interrupted by SIGINT", "pipeboard")
    if isinstance(error, SystemExit):
        return End(INTERRUPTED, 143, "interrupted by SIGTERM", "pipeboard")
    known = as_pipeboard_error(error)
    if known:
        status = BEHIND if known.code is ExitCode.BUDGET else FAILED
        return End(status, int(known.code), redact(str(known))[:500], "preflight")
    message = f"{type(error).__name__}: {error}"
    return End(FAILED, int(ExitCode.FAILED), redact(message)[:500], "pipeboard")


def push_to(gateway: str, pipeline: str, metrics: MetricSet) -> str | None:
    """Push within a time limit; return the error message if that fails."""
    try:
        return within(
            2 * PUSH_TIMEOUT_SECONDS, "the push", lambda: push(gateway, pipeline, metrics)
        )
    except TimeoutError as error:
        return f"metrics could not be pushed ({error})"


def _report(scope: CommandScope, error: BaseException) -> None:
    """Report to history and metrics, as far as they can be reached; nothing here may fail."""
    end, run_id = end_of(error, scope.redact), new_run_id()
    metrics = MetricSet()
    seconds = time.time() - scope.began
    phases = {**dict.fromkeys(PHASES, 0.0), "total": seconds}
    of_end(metrics, scope.began, end.status, end.exit_code, phases)
    url = scope.database_url()
    if url:
        try:
            with connect(url, LOGIN_SECONDS) as connection:
                migrate(connection)
                history.note_ended(
                    connection, run_id, scope.job, scope.environment_name, scope.began, end
                )
                of_history(metrics, connection, scope.job.pipeline)
        except (psycopg.Error, PipeboardError):
            pass  # the database may be the error to report
    gateway = scope.gateway
    trouble = push_to(gateway, scope.job.pipeline, metrics) if gateway else None
    try:
        if trouble:
            scope.console.note("metrics", scope.redact(trouble))
        scope.console.event(
            "run ended",
            run_id=run_id,
            job=scope.job.name,
            status=end.status,
            exit_code=end.exit_code,
            reason=end.reason,
            failed_stage=end.failed_stage,
        )
    except OSError:
        pass  # the output was closed


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into an exception, as Python does with SIGINT."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    earlier = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)
