"""`pipeboard tune`: measures which number of rows per batch loads fastest into this database.

It measures the loader itself, as every run starts it, with deals of this warehouse as Singer
messages: it makes no API call. The result is a row of `ops.etl_run` like that of any run. Later
runs, however they are started, give the latest result to the loader.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql

from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.outcomes import SUCCEEDED
from pipeboard.run.history import BATCH_SIZE_ROWS, End
from pipeboard.run.jobs import MAIN, Job
from pipeboard.run.reporting import mark_reported
from pipeboard.run.run_metrics import exists
from pipeboard.run.session import RunSession, run_session

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.paths import Paths

#: The loader's defaults.
DEFAULT_ROWS, DEFAULT_BYTES = 10_000, 16 * 2**20
SIZES = (1_000, 2_500, 5_000, 10_000, 20_000, 50_000)
#: Medians closer than this differ by chance.
NOISE = 0.03
SCHEMA = "pipeboard_tune"
JOB = Job("tune", "tune", MAIN)

#: JSON types of the columns, as the tap declares them.
TYPES: dict[str, dict[str, Any]] = {
    "bigint": {"type": ["integer", "null"]},
    "integer": {"type": ["integer", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "numeric": {"type": ["number", "null"]},
    "double precision": {"type": ["number", "null"]},
    "jsonb": {"type": ["object", "array", "null"]},
    "date": {"type": ["string", "null"], "format": "date"},
    "timestamp with time zone": {"type": ["string", "null"], "format": "date-time"},
}
TEXT: dict[str, Any] = {"type": ["string", "null"]}


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    rows: int
    rounds: int
    sizes: tuple[int, ...] = SIZES


@dataclass
class Tried:
    """One batch size: seconds and memory of the loader, a number per round."""

    size: int
    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def median(self, start: float) -> float:
        """Return the seconds that loading took, without those of starting up."""
        return max(statistics.median(self.seconds) - start, 1e-3)


class Stopped(Exception):
    """A signal ended the measurement."""


def parsed_sizes(text: str) -> tuple[int, ...]:
    """Read `1000,5000`.

    Raises:
        PipeboardError: these are no numbers of rows.

    """
    try:
        sizes = tuple(sorted({int(word) for word in text.split(",")}))
    except ValueError:
        sizes = ()
    if not sizes or sizes[0] < 1:
        what = f"--sizes is {text!r}"
        raise PipeboardError(what, "Write 1000,5000,10000", ExitCode.USAGE)
    return sizes


def forget(environment: Environment, console: Console) -> int:
    """Go back to the loader's default."""
    with run_session(environment, replace(JOB, wait=0), console) as session:
        if session.begin():
            return ExitCode.UNAVAILABLE
        session.finish(End(SUCCEEDED, 0, details={"tuning": {"batch_size_rows": None}}))
    console.note("tune", f"back to the loader's default, {DEFAULT_ROWS:,} rows per batch")
    return ExitCode.OK


def tune(paths: Paths, environment: Environment, plan: Plan, console: Console) -> int:
    """Measure, and store the result.

    Raises:
        PipeboardError: there is nothing to measure with, or the loader fails.

    """
    # Not beside a sync: the two would measure each other.
    with run_session(environment, JOB, console) as session:
        if end := session.begin():
            return end.exit_code
        try:
            end = _Experiment(paths, plan, session).run()
        except Stopped as error:
            end = session.end_of(error)
        except BaseException as error:
            session.finish(session.end_of(error))
            mark_reported(error)
            raise
        session.finish(end)
    return end.exit_code


@contextmanager
def scratch_folder(paths: Paths) -> Iterator[Path]:
    """Create a folder for messages and settings; delete that of a tuning that was killed."""
    folder = paths.local / "tune"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Experiment:
    """One measurement, under the run lock."""

    paths: Paths
    plan: Plan
    session: RunSession

    def run(self) -> End:
        began = time.monotonic()
        with scratch_folder(self.paths) as place, self._scratch():
            messages, rows, width = self._messages(place)
            alone = place / "one.jsonl"
            with messages.open("rb") as lines, alone.open("wb") as out:
                out.writelines([lines.readline(), lines.readline()])
            tried = [Tried(size) for size in self._sizes(width)]
            idle: list[float] = []
            # In turn, so that a slower machine affects all sizes.
            for number in range(1, self.plan.rounds + 1):
                idle.append(self._load(place, alone, DEFAULT_ROWS, 1)[0])
                for one in tried:
                    seconds, memory = self._load(place, messages, one.size, rows)
                    one.seconds.append(seconds)
                    one.memory.append(memory)
                    text = f"{one.size:,} rows per batch: {seconds:.2f} s"
                    self.session.console.note(f"round {number}", text)
        start = statistics.median(idle)
        chosen = best(tried, start)
        self._show(tried, start, chosen, rows)
        return End(
            SUCCEEDED,
            0,
            rows=rows * len(tried) * self.plan.rounds,
            details={
                "phases": {"total": round(time.monotonic() - began, 3)},
                "tuning": {
                    "batch_size_rows": chosen,
                    "rows": rows,
                    "bytes_per_row": round(width),
                    "rounds": self.plan.rounds,
                    "noise": NOISE,
                    "processors": os.cpu_count(),
                    "tried": [
                        {
                            "batch_size_rows": one.size,
                            "rows_per_second": round(rows / one.median(start)),
                            "peak_memory_bytes": max(one.memory),
                        }
                        for one in tried
                    ],
                },
            },
        )

    def _sizes(self, width: float) -> list[int]:
        """Return the sizes that the byte limit of the loader lets it reach."""
        limit = int(
            self.session.environment.variables.get("TARGET_POSTGRES_BATCH_SIZE_BYTES")
            or DEFAULT_BYTES
        )
        most = max(int(limit / width), 1)
        reachable = [size for size in self.plan.sizes if size <= most]
        if len(reachable) < len(self.plan.sizes):
            text = f"a row has {width:,.0f} bytes: batch_size_bytes ends a batch at {most:,} rows"
            self.session.console.note("tune", text)
            # One of them represents all.
            reachable.append(next(size for size in self.plan.sizes if size > most))
        return reachable

    @contextmanager
    def _scratch(self) -> Iterator[None]:
        """Create a schema for the loader, also for its bookkeeping."""
        drop = sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(SCHEMA))
        self.session.connection.execute("set client_min_messages = warning")
        self.session.connection.execute(drop)
        try:
            yield
        finally:
            self.session.connection.execute(drop)

    def _messages(self, place: Path) -> tuple[Path, int, float]:
        """Write deals of the warehouse as Singer messages; return how many, and their bytes."""
        columns = self._columns()
        found = self.session.connection.execute(
            "select count(*), max(id) from pipedrive.deals"
        ).fetchone()
        count, largest = found or (0, 0)
        if not count:
            what = "there are no deals in pipedrive.deals to measure with"
            raise PipeboardError(what, "Run `make sync` first", ExitCode.CONFIGURATION)
        properties = {name: TYPES.get(kind, TEXT) for name, kind in columns}
        schema = {
            **{"type": "SCHEMA", "stream": "deals", "key_properties": ["id"]},
            "schema": {"type": "object", "properties": properties},
        }
        query = sql.SQL(
            "select id, row_to_json(deal)::text from (select {} from pipedrive.deals"
            " order by id limit %s) as deal"
        ).format(sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns))
        path = place / "deals.jsonl"
        written = size = 0
        with path.open("w", encoding="utf-8") as out:
            out.write(json.dumps(schema) + "\n")
            deals = self.session.connection.execute(query, [self.plan.rows]).fetchall()
            # If there are too few, they are repeated with other ids.
            while written < self.plan.rows:
                shift = written // len(deals) * (largest + 1)
                for deal_id, text in deals[: self.plan.rows - written]:
                    record = {**json.loads(text), "id": deal_id + shift} if shift else None
                    encoded = json.dumps(record, ensure_ascii=False) if record else text
                    line = f'{{"type":"RECORD","stream":"deals","record":{encoded}}}\n'
                    out.write(line)
                    written += 1
                    size += len(line.encode())
        return path, written, size / written

    def _columns(self) -> list[tuple[str, str]]:
        if not exists(self.session.connection, "pipedrive.deals"):
            what = "there is no table pipedrive.deals to measure with"
            raise PipeboardError(what, "Run `make sync` first", ExitCode.CONFIGURATION)
        return self.session.connection.execute(
            """
            select column_name, data_type from information_schema.columns
            where table_schema = 'pipedrive' and table_name = 'deals'
              and column_name not like '\\_sdc\\_%' and column_name <> '_extra'
            order by ordinal_position
            """
        ).fetchall()

    def _load(self, place: Path, messages: Path, size: int, rows: int) -> tuple[float, int]:
        """Load a file into an empty schema; return seconds and the loader's peak of memory."""
        if self.session.signals.received:
            raise Stopped
        config = place / "config.json"
        settings: dict[str, Any] = {
            "sqlalchemy_url": self.session.environment.database.url,
            "default_target_schema": SCHEMA,
            "ops_schema": SCHEMA,
            "bookkeeping": False,
            "batch_size_rows": size,
        }
        limit = self.session.environment.variables.get("TARGET_POSTGRES_BATCH_SIZE_BYTES")
        if limit:
            settings["batch_size_bytes"] = int(limit)
        config.touch(mode=0o600)
        config.write_text(json.dumps(settings))
        command = [str(self.paths.binaries / "target-postgres"), "--config", str(config)]
        log = place / "loader.log"
        began = time.monotonic()
        with messages.open("rb") as source, log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=source,
                stdout=subprocess.DEVNULL,
                stderr=out,
                env={
                    **self.session.environment.variables,
                    "PUSHGATEWAY_URL": "",
                    "PIPEBOARD_LOG_FORMAT": "",
                },
            )
            # A loader that hangs is killed.
            limit_timer = threading.Timer(JOB.stall, process.kill)
            limit_timer.daemon = True
            limit_timer.start()
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                raise
            finally:
                limit_timer.cancel()
        process.returncode = code = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        if code:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            what = f"the loader failed ({code}): {self.session.environment.redact(' '.join(last))}"
            known = {int(member) for member in ExitCode}
            raise PipeboardError(what, "", ExitCode(code if code in known else ExitCode.FAILED))
        table = sql.Identifier(SCHEMA, "deals")
        there = self.session.connection.execute(
            sql.SQL("select count(*) from {}").format(table)
        ).fetchone()
        if there != (rows,):
            what = f"the loader brought {there} of {rows} rows"
            raise PipeboardError(what, "This is a fault of the loader: report it", ExitCode.DATA)
        self.session.connection.execute(sql.SQL("drop table {}").format(table))
        # Kilobytes on Linux, bytes on macOS.
        return seconds, usage.ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)

    def _show(self, tried: list[Tried], start: float, chosen: int, rows: int) -> None:
        self.session.console.heading("Batch sizes")
        self.session.console.table(
            ["rows per batch", "rows per second", "memory (MiB)", ""],
            [
                [one.size, round(rows / one.median(start)), max(one.memory) // 2**20]
                + ["chosen" if one.size == chosen else ""]
                for one in tried
            ],
        )
        self.session.console.note("tune", f"later runs load {chosen:,} rows per batch")
        if BATCH_SIZE_ROWS in self.session.environment.variables:
            self.session.console.note(
                "tune", f"... once {BATCH_SIZE_ROWS} is no longer set; it has precedence"
            )


def best(tried: list[Tried], start: float) -> int:
    """Return the fastest size; of those that are as fast, the default, else the smallest.

    A batch lies in memory, so what is not faster should not be larger.
    """
    fastest = min(one.median(start) for one in tried)
    good = [one.size for one in tried if one.median(start) <= fastest * (1 + NOISE)]
    return DEFAULT_ROWS if DEFAULT_ROWS in good else min(good)
