"""One run of a job: alone in its lane, ended with a meaning, told to history and metrics."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from pipeboard import history
from pipeboard.child import Signals
from pipeboard.dbt_results import Build, read_build
from pipeboard.history import End, new_run_id
from pipeboard.lane import Lane
from pipeboard.measures import (
    PHASES,
    build_info,
    memory_limit_bytes,
    of_build,
    of_history,
    of_loads,
    of_warehouse,
    peak_memory_bytes,
)
from pipeboard.metrics import Measures, push
from pipeboard.ops import migrate
from pipeboard.problems import ExitCode, Problem
from pipeboard.run_log import RunLog
from pipeboard.tune import BATCH_SIZE_ROWS, measured_batch_size
from pipeboard.watch import Watched, watch

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.jobs import Job
    from pipeboard.paths import Paths
    from pipeboard.worlds import World

KEPT_LOGS = 50
#: Seconds to wait for a database that went away, to tell it how the run ended.
PATIENCE = 60.0


@dataclass
class Outcome:
    """How a run ended."""

    run_id: str
    status: str
    code: int
    began: float
    seconds: float
    log_file: Path | None = None
    report: dict[str, Any] | None = None
    build: Build | None = None
    errors: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    part: str = ""
    reason: str | None = None
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether it did all its work: nothing stopped it, no stream stayed behind."""
        report = self.report or {}
        return self.code == 0 and not report.get("stopped") and not report.get("behind")


def run_job(
    paths: Paths,
    world: World,
    job: Job,
    console: Console,
    *,
    full_refresh: bool = False,
    before: Callable[[], object] | None = None,
    environ: Mapping[str, str] | None = None,
    goal: tuple[str, int] | None = None,
) -> Outcome:
    """Run a job in a world.

    Args:
        paths: of the checkout.
        world: whose account and database.
        job: what to run.
        console: told how it goes.
        full_refresh: read everything again.
        before: what to check first; a :class:`Problem` it raises is a failed run.
        environ: what the run gets to know beside its world.
        goal: a stream, and how many rows of it make the run complete; for the progress.

    Raises:
        Problem: the run could not begin; history and metrics know of it, where they can.

    """
    run_id, began = new_run_id(), time.time()
    with Signals().noted() as signals:
        try:
            lane = Lane(world.database, job.lane, run_id)
        except Problem as problem:
            _push_failure(world, job, console, began, int(problem.code))
            raise
        with closing(lane):
            migrate(lane.connection)
            console.context.update(run_id=run_id, job=job.name)
            if not _take(lane, job, console, signals):
                outcome = _skip(lane, world, job, console, run_id, began)
                outcome.code = signals.exit_code if signals.asked else 0
                return outcome
            history.begin(lane.connection, run_id, job, world.environment)
            console.event("run started")
            # A start without an end is how a run that hangs is seen.
            started = Measures()
            started.set("last_run_timestamp_seconds", began)
            _push(world, job, console, started)
            run = _Run(paths, world, job, console, lane, signals, run_id, began)
            broken: BaseException | None = None
            try:
                if before:
                    before()
                outcome = run.watch(full_refresh, environ or {}, goal)
            except BaseException as error:
                broken = error
                outcome = run.broken(error)
            run.tell(outcome)
        if broken:
            raise broken
        return outcome


def _take(lane: Lane, job: Job, console: Console, signals: Signals) -> bool:
    """Take the lane, and wait for it as long as the job may."""
    began = time.monotonic()
    while not lane.take():
        waited = time.monotonic() - began
        if waited >= job.wait or signals.asked:
            return False
        console.progress(
            job.name, f"waiting: {history.who_runs(lane.connection, job.lane)}", waited
        )
        time.sleep(0.5)
    console.clear()
    return True


def _skip(
    lane: Lane, world: World, job: Job, console: Console, run_id: str, began: float
) -> Outcome:
    """Do nothing, and say so everywhere."""
    reason = history.who_runs(lane.connection, job.lane)
    history.skip(lane.connection, run_id, job, world.environment, reason)
    console.note("skipped", f"{reason}; nothing was done")
    measures = Measures()
    of_history(measures, lane.connection, job.pipeline)
    _push(world, job, console, measures)
    return Outcome(run_id, "skipped", 0, began, time.time() - began, reason=reason)


@dataclass
class _Run:
    """A run that holds its lane."""

    paths: Paths
    world: World
    job: Job
    console: Console
    lane: Lane
    signals: Signals
    run_id: str
    began: float

    # -- running -----------------------------------------------------------------------------

    def watch(
        self, full_refresh: bool, environ: Mapping[str, str], goal: tuple[str, int] | None
    ) -> Outcome:
        """Run Meltano to its end and find out what that means."""
        report = self.paths.report(self.world.environment, self.job.lane)
        report.parent.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
        log_file = self._log_file()
        log = RunLog(goal=goal)
        watched = watch(
            self._command(full_refresh),
            # What somebody set wins over what was measured.
            {**self._tuned(), **self.world.environ, **environ, **self._names(report)},
            root=self.paths.root,
            log=log,
            log_file=log_file,
            redact=self.world.redact,
            lane=self.lane,
            job=self.job,
            run_id=self.run_id,
            signals=self.signals,
            console=self.console,
        )
        outcome = self._outcome(watched, log)
        outcome.log_file = log_file
        outcome.report = _read_report(report)
        target = Path(self.world.environ["DBT_TARGET_PATH"])
        outcome.build = read_build(target, self.began) if log.dbt_total else None
        outcome.phases = self._phases(outcome, watched)
        if outcome.code == 0 and (outcome.report or {}).get("stopped") == "budget":
            outcome.code = ExitCode.BUDGET
            outcome.reason = "the token budget is used up; the next run goes on"
        elif outcome.code and not outcome.reason:
            outcome.reason = self._reason(outcome)
        return outcome

    def _command(self, full_refresh: bool) -> list[str]:
        command = [str(self.paths.binaries / "meltano"), "--env-file", str(self.paths.no_dotenv)]
        command += ["--log-format=json", f"--environment={self.world.environment}", "run"]
        # Our lock says that nobody else runs; what Meltano remembers of a killed run may be stale.
        return [*command, "--force", *(["--full-refresh"] if full_refresh else []), self.job.name]

    def _tuned(self) -> dict[str, str]:
        """Return what `pipeboard tune` found out about the loader."""
        size = measured_batch_size(self.lane.connection, self.world.environment)
        return {BATCH_SIZE_ROWS: str(size)} if size else {}

    def _names(self, report: Path) -> dict[str, str]:
        """Return by what names the tap and the loader know this run."""
        return {
            "PIPEBOARD_RUN_ID": self.run_id,
            "PIPEBOARD_PIPELINE": self.job.pipeline,
            "PIPEBOARD_RUN_REPORT": str(report),
            # Meltano logs JSON, and reads what the plugins log; we log what Meltano does.
            "PIPEBOARD_LOG_FORMAT": "",
        }

    def _log_file(self) -> Path:
        """Name a new log; the oldest ones go."""
        self.paths.logs.mkdir(parents=True, exist_ok=True)
        for old in sorted(self.paths.logs.glob("*.jsonl"))[: -KEPT_LOGS + 1]:
            old.unlink(missing_ok=True)
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
        name = f"{now}-{self.world.environment}-{self.job.name}-{os.getpid()}.jsonl"
        return self.paths.logs / name

    # -- what it means -----------------------------------------------------------------------

    def _outcome(self, watched: Watched, log: RunLog) -> Outcome:
        redact = self.world.redact
        outcome = Outcome(
            self.run_id,
            "succeeded" if watched.code == 0 else "failed",
            watched.code,
            self.began,
            time.time() - self.began,
            errors=[redact(line) for line in log.errors],
            notices=[redact(line) for line in log.notices],
        )
        if watched.code == 0:
            return outcome
        outcome.code, outcome.part = meaning_of(watched.code, log)
        if watched.stopped_by:
            outcome.code, outcome.reason = watched.stopped_by
            outcome.part = outcome.part if log.failed else log.part
        elif watched.lost_database and outcome.code in (ExitCode.FAILED, ExitCode.DATA):
            # What failed then says little: dbt and Meltano have one code for everything.
            outcome.code = ExitCode.UNAVAILABLE
        return outcome

    def _reason(self, outcome: Outcome) -> str:
        message = (outcome.report or {}).get("message")
        said = str(message) if message else next(iter(outcome.errors[-1:]), "no reason given")
        return self.world.redact(said)[:500]

    def _phases(self, outcome: Outcome, watched: Watched) -> dict[str, float]:
        """Return how long each phase took; extract and load go on at the same time."""
        phases = dict.fromkeys(PHASES, 0.0)
        phases["load"] = watched.step_seconds.get("extract and load", 0.0)
        phases["extract"] = _report_seconds(outcome.report) or phases["load"]
        if outcome.build:
            snapshots = [r.seconds for r in outcome.build.results if r.kind == "snapshot"]
            phases["snapshot"] = sum(snapshots)
            phases["dbt"] = outcome.build.seconds
        phases["total"] = outcome.seconds
        return {name: round(seconds, 3) for name, seconds in phases.items()}

    def broken(self, error: BaseException) -> Outcome:
        """Return what became of a run that did not get as far as Meltano, or broke us."""
        code = int(error.code) if isinstance(error, Problem) else int(ExitCode.FAILED)
        words = str(error) if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
        return Outcome(
            self.run_id,
            "failed",
            code,
            self.began,
            time.time() - self.began,
            part="preflight" if isinstance(error, Problem) else "pipeboard",
            reason=self.world.redact(words)[:500],
        )

    # -- telling -----------------------------------------------------------------------------

    def tell(self, outcome: Outcome) -> None:
        """Write history, push metrics; neither may change how the run ended."""
        end = self._end(outcome)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                history.finish(self.lane.connection, self.run_id, end)
                break
            except psycopg.Error as error:
                if time.monotonic() >= deadline or self.signals.again:
                    words = str(error).splitlines()[0] if str(error) else type(error).__name__
                    self.console.note("history", f"could not be written: {words}")
                    break
            time.sleep(1)
            self.lane.retake()
        self.console.event(
            "run ended",
            status=end.status,
            exit_code=end.exit_code,
            reason=end.reason,
            failed_stage=end.failed_stage,
            rows=end.rows,
            calls=end.calls,
            tokens=end.tokens,
            behind=(outcome.report or {}).get("behind") or [],
            phases=outcome.phases,
        )
        if self.world.environ.get("PUSHGATEWAY_URL"):
            _push(self.world, self.job, self.console, self._measures(outcome))

    def _end(self, outcome: Outcome) -> End:
        report = outcome.report or {}
        streams = report.get("streams") or {}
        rows = sum(int(used.get("records", 0)) for used in streams.values()) if streams else None
        if rows is None:
            try:
                rows = sum(n for _, n, _ in history.loaded(self.lane.connection, self.run_id))
            except psycopg.Error:
                rows = None
        details: dict[str, Any] = {"phases": outcome.phases}
        if report:
            details["behind"] = report.get("behind") or []
            details["streams"] = {
                name: used for name, used in streams.items() if any(used.values())
            }
        if outcome.build:
            faulty = [r.name for r in outcome.build.results if r.is_faulty]
            details["failed_nodes"] = faulty[:20]
            details["dbt"] = outcome.build.counts()
        return End(
            outcome.status,
            int(outcome.code),
            outcome.reason,
            outcome.part or None,
            rows,
            report.get("calls"),
            report.get("tokens"),
            details,
        )

    def _measures(self, outcome: Outcome) -> Measures:
        measures = Measures()
        _of_run(measures, self.began, outcome)
        measures.set("peak_memory_bytes", peak_memory_bytes(os.environ))
        measures.set("memory_limit_bytes", memory_limit_bytes(os.environ))
        measures.set("build_info", 1, *build_info(self.paths))
        if outcome.build:
            of_build(measures, outcome.build)
        try:
            of_history(measures, self.lane.connection, self.job.pipeline)
            of_loads(measures, self.lane.connection, self.run_id)
            of_warehouse(measures, self.lane.connection)
        except psycopg.Error as error:
            self.console.note("metrics", f"without those of the warehouse: {type(error).__name__}")
        return measures


def _of_run(measures: Measures, began: float, outcome: Outcome) -> None:
    measures.set("last_run_timestamp_seconds", began)
    measures.set("last_run_status", float(outcome.status == "succeeded"))
    measures.set("last_run_exit_code", int(outcome.code))
    phases = outcome.phases or {**dict.fromkeys(PHASES, 0.0), "total": outcome.seconds}
    measures.fill("last_run_duration_seconds", phases)
    if outcome.code == 0:
        measures.set("last_success_timestamp_seconds", time.time())


def _push_failure(world: World, job: Job, console: Console, began: float, code: int) -> None:
    """Tell of a run that never reached its database, and so has no history."""
    measures = Measures()
    _of_run(measures, began, Outcome("", "failed", code, began, time.time() - began))
    _push(world, job, console, measures)


def _push(world: World, job: Job, console: Console, measures: Measures) -> None:
    gateway = world.environ.get("PUSHGATEWAY_URL")
    trouble = push(gateway, job.pipeline, measures) if gateway else None
    if trouble:
        console.note("metrics", world.redact(trouble))


def meaning_of(code: int, log: RunLog) -> tuple[int, str]:
    """Return the exit code by what failed; Meltano itself knows only "something failed"."""
    known = {int(member) for member in ExitCode}
    for kind, part in (("extractors", "tap-pipedrive"), ("loaders", "target-postgres")):
        failed = log.failed.get(kind)
        if failed:
            if failed < 0 or failed > 128:
                return ExitCode.UNAVAILABLE, part  # killed: nothing of ours is wrong
            return (failed if failed in known else ExitCode.FAILED), part
    if log.failed:
        return ExitCode.DATA, "dbt"
    if code == 128 + signal.SIGKILL:
        return ExitCode.UNAVAILABLE, "meltano"
    return ExitCode.FAILED, "meltano"


def _read_report(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _report_seconds(report: Mapping[str, Any] | None) -> float:
    try:
        begun, ended = (
            datetime.fromisoformat(str((report or {})[name]).replace("Z", "+00:00"))
            for name in ("started_at", "finished_at")
        )
    except (KeyError, ValueError):
        return 0.0
    return (ended - begun).total_seconds()
