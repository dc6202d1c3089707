"""One run of a Meltano job: started, watched, logged without secrets, ended with a meaning."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from pipeboard.problems import ExitCode, Problem
from pipeboard.run_log import RunLog

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.paths import Paths
    from pipeboard.worlds import World

KEPT_LOGS = 50
PATIENCE = 30.0
# Two names of one pipeline: they share its state, so they exclude each other.
SAME_PIPELINE = {"elt": "sync"}


@dataclass
class Outcome:
    """How a run ended."""

    code: int
    seconds: float
    log_file: Path
    report: dict[str, Any] | None
    errors: list[str] = field(default_factory=list)
    part: str = ""
    notices: list[str] = field(default_factory=list)


def run_job(
    paths: Paths, world: World, job: str, console: Console, full_refresh: bool = False
) -> Outcome:
    """Run a job in a world."""
    with only_run(world, job):
        return _run(paths, world, job, console, full_refresh)


@contextmanager
def only_run(world: World, job: str) -> Iterator[None]:
    """Hold the pipeline's lock in its database; refuse if somebody else has it.

    The lock ends with its connection, so a run that was killed leaves none behind.
    """
    name = f"pipeboard:{SAME_PIPELINE.get(job, job)}"
    try:
        connection = psycopg.connect(world.database.url, connect_timeout=10, autocommit=True)
    except psycopg.OperationalError as error:
        what = f"the database {world.database.place} cannot be reached"
        raise Problem(what, "Check PIPEBOARD_DATABASE_URL", ExitCode.UNAVAILABLE) from error
    with connection:
        row = connection.execute(
            "select pg_try_advisory_lock(hashtextextended(%s, 0))", [name]
        ).fetchone()
        if row != (True,):
            what = f"another run of {job} is at work on {world.database.place}"
            raise Problem(what, "Let it finish; nothing was done", ExitCode.UNAVAILABLE)
        yield


def _run(paths: Paths, world: World, job: str, console: Console, full_refresh: bool) -> Outcome:
    report = Path(world.environ["PIPEBOARD_RUN_REPORT"])
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    log_file = _log_file(paths, world, job)
    # An empty file in place of .env: the world is complete, and nobody else's.
    no_dotenv = paths.local / "meltano.env"
    no_dotenv.write_text("")
    command = [str(paths.binaries / "meltano"), "--env-file", str(no_dotenv)]
    command += ["--log-format=json", f"--environment={world.environment}", "run"]
    # Our lock says that nobody else runs; what Meltano remembers of a killed run may be stale.
    command += ["--force", *(["--full-refresh"] if full_refresh else []), job]
    began = time.monotonic()
    log = RunLog()
    code = _watch(command, world, paths.root, log, log_file, console, job)
    seconds = time.monotonic() - began
    found = _read_report(report)
    errors = [world.redact(line) for line in log.errors]
    notices = [world.redact(line) for line in log.notices]
    if code == 0:
        budget = bool(found) and found is not None and found.get("stopped") == "budget"
        return Outcome(ExitCode.BUDGET if budget else 0, seconds, log_file, found, notices=notices)
    meaning, part = meaning_of(code, log)
    return Outcome(meaning, seconds, log_file, found, errors, part, notices)


def meaning_of(code: int, log: RunLog) -> tuple[int, str]:
    """Return the exit code by what failed; Meltano itself knows only "something failed"."""
    known = {int(member) for member in ExitCode}
    for kind, part in (("extractors", "tap-pipedrive"), ("loaders", "target-postgres")):
        failed = log.failed.get(kind)
        if failed:
            return (failed if failed in known else ExitCode.FAILED), part
    if log.failed:
        return ExitCode.DATA, "dbt"
    # A signal of the kind that people and schedulers send.
    if code in (-signal.SIGINT, -signal.SIGTERM, 130, 143):
        return 128 + (code % 128 if code > 0 else -code), "interrupted"
    return ExitCode.FAILED, "meltano"


def _watch(
    command: list[str],
    world: World,
    root: Path,
    log: RunLog,
    log_file: Path,
    console: Console,
    job: str,
) -> int:
    """Run the command to its end, reading its log; hand signals on to all it started."""
    redact = world.redact
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as log_out:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=world.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        lines: queue.Queue[str | None] = queue.Queue(maxsize=10_000)
        threading.Thread(target=_pump, args=(process, lines), daemon=True).start()
        began = time.monotonic()
        with _handing_on_signals(process):
            while True:
                try:
                    line = lines.get(timeout=0.5)
                except queue.Empty:
                    line = ""
                if line is None:
                    break
                if line:
                    log_out.write(redact(line))
                    log.read(line)
                console.progress(job, log.progress, time.monotonic() - began)
            console.clear()
            return process.wait()


def _pump(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


@contextmanager
def _handing_on_signals(process: subprocess.Popen[str]) -> Iterator[None]:
    """End everything below us when we are asked to end: gently, and after a while for good."""

    def hand_on(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        timer = threading.Timer(PATIENCE, _kill, [process])
        timer.daemon = True
        timer.start()

    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in kept:
        signal.signal(number, hand_on)
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _log_file(paths: Paths, world: World, job: str) -> Path:
    """Name a new log; the oldest ones go."""
    paths.logs.mkdir(parents=True, exist_ok=True)
    for old in sorted(paths.logs.glob("*.jsonl"))[: -KEPT_LOGS + 1]:
        old.unlink(missing_ok=True)
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    return paths.logs / f"{now}-{world.environment}-{job}-{os.getpid()}.jsonl"


def _read_report(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
