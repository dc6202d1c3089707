"""One run: the tap, then the loader, in this process; judged as the supervisor judges a run."""

from __future__ import annotations

import contextlib
import copy
import gc
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from pipeboard_target_postgres import errors as loader_errors
from pipeboard_target_postgres import reader as loader_reader
from pipeboard_target_postgres import report as loader_report
from pipeboard_target_postgres import staging
from pipeboard_target_postgres.loader import Loader
from pipeboard_target_postgres.target import TargetPostgres
from story import Story, Sync
from transport import URL, Killed, Transport

from pipeboard.run.jobs import Job
from pipeboard.run.proof import TAP_QUARANTINE, Evidence, Judgement, judge
from pipeboard.run.run_log import RunLog
from tap_pipedrive import errors as tap_errors
from tap_pipedrive import tap, termination
from tap_pipedrive.api import client as tap_client
from tap_pipedrive.reporting import run_report

#: Small, so that a killed loader has loaded something.
LINES_PER_BLOCK = 5
#: In stories with batches of so many rows, batches of more than the second number are staged.
STAGED = 9, 3
SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT}


@dataclass
class Warehouse:
    """Where one story is loaded to: two schemas of a database, and the state of Meltano."""

    url: str
    name: str
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def raw(self) -> str:
        """The schema of the raw tables."""
        return f"raw_{self.name}"

    @property
    def ops(self) -> str:
        """The schema of the loader's bookkeeping."""
        return f"ops_{self.name}"

    def config(self, story: Story, sync: Sync) -> dict[str, Any]:
        """Return the settings of the loader for one run."""
        url = self.url
        if sync.database == "read_only":
            url += "?options=-cdefault_transaction_read_only%3Don"
        elif sync.database == "unreachable":
            url = "postgresql://nobody@127.0.0.1:1/nowhere"
        return {
            "sqlalchemy_url": url,
            "default_target_schema": self.raw,
            "ops_schema": self.ops,
            "batch_size_rows": story.batch_rows,
            "reconnect_seconds": 5 if story.reconnects else 0,
            "quarantine_stream": TAP_QUARANTINE,  # as in meltano.yml
        }

    @cached_property
    def connection(self) -> psycopg.Connection:
        """A connection for the checks; the loader opens its own."""
        return psycopg.connect(self.url, autocommit=True)

    def close(self) -> None:
        """Close the connection; the next use opens another one, as after a restart."""
        self.connection.close()
        del self.connection

    def drop(self) -> None:
        """Remove both schemas."""
        for schema in (self.raw, self.ops):
            self.connection.execute(f'drop schema if exists "{schema}" cascade'.encode())


@dataclass
class TapRun:
    """What came out of the tap: messages, exit code and report; a killed one has none."""

    lines: bytes
    code: int
    report: dict[str, Any] | None


@dataclass
class LoaderRun:
    """What came out of the loader: states, exit code and report."""

    states: list[dict[str, Any]]
    code: int
    report: dict[str, Any] | None


def run_tap(
    transport: Transport, config: dict[str, Any], state: dict[str, Any], streams: list[str],
    folder: Path, ends: tuple[int, str] | None, at_call: Callable[[int], None],
) -> TapRun:  # fmt: skip
    """Run the tap; a killed one leaves what it had written before."""
    report = folder / "tap.json"
    report.unlink(missing_ok=True)
    output = io.BytesIO()
    written_at_death: list[int] = []

    def before_call(number: int) -> None:
        at_call(number)
        if ends is None or number != ends[0]:
            return
        if ends[1] == "KILL":
            sys.stdout.flush()
            written_at_death.append(output.tell())
            raise Killed
        os.kill(os.getpid(), SIGNALS[ends[1]])

    transport.calls, transport.before_call = 0, before_call
    code = 0
    with (
        mock.patch.object(tap_client, "DeadlineAdapter", transport.adapter),
        mock.patch.object(sys, "stdout", io.TextIOWrapper(output, encoding="utf-8")),
        mock.patch.object(os, "environ", {run_report.VARIABLE: str(report)}),
        # A stream that is not selected does nothing, and making it costs most of a short run.
        mock.patch.object(tap, "STREAMS", [s for s in tap.STREAMS if s.name in streams]),
        _signals_restored(),
    ):
        try:
            running = tap.TapPipedrive(
                config={**config, "api_url": URL}, state=copy.deepcopy(state)
            )
            for stream in running.streams.values():
                stream.selected = True
            running.run()
        except Killed:
            pass  # written_at_death says so, also if the tap goes on after it
        except tap_errors.TapError as error:
            code = error.exit_code
        except termination.TerminationRequested as request:
            code = request.exit_code
        sys.stdout.flush()
        lines = output.getvalue()
    if written_at_death:
        report.unlink(missing_ok=True)
        return TapRun(lines[: written_at_death[0]], -signal.SIGKILL, None)
    return TapRun(lines, code, _read(report))


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    """After a signal the tap leaves its handlers and its alarm, since its process ends."""
    before = {number: signal.getsignal(number) for number in SIGNALS.values()}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        termination._requested_by = None
        for number, handler in before.items():
            signal.signal(number, handler)


def run_loader(
    warehouse: Warehouse, lines: bytes, story: Story, sync: Sync, folder: Path
) -> LoaderRun:
    """Run the loader over the messages; a killed one leaves what it had committed."""
    report = folder / "loader.json"
    report.unlink(missing_ok=True)
    output = io.StringIO()
    where, number = sync.loader_ends or ("", 0)
    cut = number if where == "input" else None
    most_as_parameters = staging.MOST_ROWS_AS_PARAMETERS
    if story.batch_rows == STAGED[0]:
        most_as_parameters = STAGED[1]
    code, outcome, message = 0, "complete", None
    target: TargetPostgres | None = None
    with (
        contextlib.redirect_stdout(output),
        mock.patch.object(loader_reader, "_LINES_PER_BLOCK", LINES_PER_BLOCK),
        mock.patch.object(staging, "MOST_ROWS_AS_PARAMETERS", most_as_parameters),
        _disturbed(warehouse.url, where, number, sync.session_ends),
    ):
        try:
            target = TargetPostgres(config=warehouse.config(story, sync))
            target.dispatcher.call(target.loader.connect)
            target.listen(_Lines(lines, cut))
        except Killed:
            code = -signal.SIGKILL
            if where == "input":
                assert target is not None
                # The load that runs ends before the kill, and nobody learns how.
                with contextlib.suppress(Exception):
                    target.dispatcher.join()
        except Exception as error:
            known = loader_errors.explain(error, "The database")
            code, outcome = (known.exit_code if known else 1), "failed"
            message = loader_errors.one_line(error)
            if target is not None:
                target._finish_running_load()
        finally:
            if target is not None:
                target.close()
    if code >= 0:
        counts = target.results() if target is not None else {}
        loader_report.write(str(report), outcome, code, message, counts)
    states = [json.loads(line) for line in output.getvalue().splitlines() if line]
    return LoaderRun(states, code, _read(report))


class _Lines:
    """The messages, up to the thousandth at which the loader is killed."""

    def __init__(self, lines: bytes, cut: int | None) -> None:
        self._lines, self._cut = lines, cut

    def __iter__(self) -> Iterator[bytes]:
        end = None if self._cut is None else len(self._lines) * self._cut // 1000
        yield from io.BytesIO(self._lines[:end])
        if end is not None:
            raise Killed


@contextlib.contextmanager
def _disturbed(url: str, where: str, number: int, session_ends: int | None) -> Iterator[None]:
    """Kill the loader at a commit or a state, or let the server end its session."""
    loads = states = 0
    load, emit = Loader._load, TargetPostgres._emit

    def disturbed_load(self: Loader, batch: Any, cursor: psycopg.Cursor) -> Any:
        nonlocal loads
        loads += 1
        if loads == session_ends:
            with psycopg.connect(url, autocommit=True) as other:
                pid = cursor.connection.info.backend_pid
                other.execute("select pg_terminate_backend(%s, 5000)", (pid,))
        counts = load(self, batch, cursor)
        if where == "commit" and loads == number:
            raise Killed
        return counts

    def disturbed_emit(self: TargetPostgres, state: bytes) -> None:
        nonlocal states
        states += 1
        if where == "state" and states == number:
            raise Killed
        emit(self, state)

    with (
        mock.patch.object(Loader, "_load", disturbed_load),
        mock.patch.object(TargetPostgres, "_emit", disturbed_emit),
    ):
        yield


def judged(tap: TapRun, loader: LoaderRun, streams: list[str]) -> Judgement:
    """Judge the run by its reports and exit codes, as the supervisor does."""
    log = RunLog()
    if tap.code:
        log.failed["extractors"] = tap.code
    if loader.code:
        log.failed["loaders"] = loader.code
    log.completed = 0 if log.failed else 1
    job = Job("trust", "trust", plugin="tap-pipedrive")
    return judge(
        Evidence(
            job,
            code=1 if log.failed else 0,
            log=log,
            selected=frozenset(streams),
            tap=tap.report,
            loader=loader.report,
        )
    )


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.exists() else None


def quiet() -> None:
    """Log nothing, since the story's own log tells what happened, and collect garbage rarely."""
    logging.disable(logging.CRITICAL)
    gc.set_threshold(50_000)
