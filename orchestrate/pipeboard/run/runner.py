"""Runs one job under the run lock and records its outcome."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from pipeboard.database import first_line
from pipeboard.outcomes import FAILED, INTERRUPTED, LOADED, SKIPPED, STATUSES, SUCCEEDED
from pipeboard.problems import ExitCode
from pipeboard.run import history
from pipeboard.run.changed import REPORT, Decision, decision_of
from pipeboard.run.child import Signals
from pipeboard.run.dbt_results import Build, name_broken_rules, read_build
from pipeboard.run.history import BATCH_SIZE_ROWS, End, measured_batch_size, new_run_id
from pipeboard.run.measures import (
    PHASES,
    build_info,
    of_build,
    of_end,
    of_history,
    of_loads,
    of_streams,
    of_tests,
    of_warehouse,
)
from pipeboard.run.memory import Memory
from pipeboard.run.metrics import Measures
from pipeboard.run.ops import migrate
from pipeboard.run.proof import (
    Evidence,
    Judgement,
    StreamOutcome,
    judge,
    stream_outcomes,
    streams_of,
)
from pipeboard.run.reporting import CommandScope, end_of, mark_reported, push_to, report_failures
from pipeboard.run.run_lock import RunLock
from pipeboard.run.run_log import RunLog
from pipeboard.run.watch import Watched, watch

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.paths import Paths
    from pipeboard.run.jobs import Job
    from pipeboard.worlds import World

KEPT_LOGS = 50
#: Seconds to wait for a database that went away, to tell it how the run ended.
DATABASE_WAIT_SECONDS = 60.0


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
    decision: Decision | None = None
    streams: list[StreamOutcome] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    part: str = ""
    reason: str | None = None
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def ended(self) -> tuple[str, int]:
        """Status and exit code."""
        return self.status, self.code

    @property
    def is_complete(self) -> bool:
        """Whether it did all its work: nothing stopped it, no stream stayed behind."""
        return self.status == SUCCEEDED


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
    scope = CommandScope(job, console, world.environ, world=world, began=began)
    with (
        report_failures(scope),
        Signals().noted() as signals,
        closing(RunLock(world.database, job.concurrency_group, run_id)) as lock,
    ):
        migrate(lock.connection, console)
        console.context.update(run_id=run_id, job=job.name)
        if not _take(lock, job, console, signals):
            return _skip(lock, world, job, console, signals, run_id, began)
        history.begin(lock.connection, run_id, job, world.environment)
        console.event("run started")
        # A start without an end is how a run that hangs is seen.
        started = Measures()
        started.set("last_run_timestamp_seconds", began)
        _push(world, job, console, started)
        run = _Run(paths, world, job, console, lock, signals, run_id, began)
        try:
            if before:
                before()
            outcome = run.watch(full_refresh, environ or {}, goal)
        except BaseException as error:
            run.tell(run.broken(error))
            mark_reported(error)
            raise
        run.tell(outcome)
        return outcome


def _take(lock: RunLock, job: Job, console: Console, signals: Signals) -> bool:
    """Take the lock, and wait for it as long as the job may."""
    began = time.monotonic()
    while not lock.take():
        waited = time.monotonic() - began
        if waited >= job.wait or signals.asked:
            return False
        other = history.who_runs(lock.connection, lock.concurrency_group)
        console.progress(job.name, f"waiting up to {job.wait:,.0f} s: {other}", waited)
        time.sleep(0.5)
    console.clear()
    return True


def _skip(
    lock: RunLock,
    world: World,
    job: Job,
    console: Console,
    signals: Signals,
    run_id: str,
    began: float,
) -> Outcome:
    """Do nothing, and say so everywhere."""
    reason = history.who_runs(lock.connection, job.concurrency_group)
    outcome = Outcome(run_id, SKIPPED, 0, began, time.time() - began, reason=reason)
    if signals.asked:
        outcome.status, outcome.code = INTERRUPTED, signals.exit_code
        outcome.reason = f"{signals.words} while it waited: {reason}"
    end = End(outcome.status, outcome.code, outcome.reason)
    history.note_ended(lock.connection, run_id, job, world.environment, began, end)
    console.note(outcome.status, f"{outcome.reason}; nothing was done")
    measures = Measures()
    of_history(measures, lock.connection, job.pipeline)
    _push(world, job, console, measures)
    return outcome


@dataclass
class _Run:
    """A run that holds its lock."""

    paths: Paths
    world: World
    job: Job
    console: Console
    lock: RunLock
    signals: Signals
    run_id: str
    began: float
    memory: Memory = field(default_factory=Memory)

    # -- running -----------------------------------------------------------------------------

    def watch(
        self, full_refresh: bool, environ: Mapping[str, str], goal: tuple[str, int] | None
    ) -> Outcome:
        """Run Meltano to its end and find out what that means."""
        kept = (
            self.paths.report(self.world.environment, self.job.concurrency_group),
            self.paths.loader_report(self.world.environment, self.job.concurrency_group),
            self.paths.build_report(self.world.environment, self.job.concurrency_group),
        )
        # Named by the run: the lock is the database's, and one checkout may serve two databases;
        # and what outlived a killed run may still report.
        reports = [report.with_name(f"{self.run_id}.{report.name}") for report in kept]
        kept[0].parent.mkdir(parents=True, exist_ok=True)
        of_killed_runs = sorted(kept[0].parent.glob("*Z-*.json"))[:-KEPT_LOGS]
        for report in (*kept, *of_killed_runs):
            report.unlink(missing_ok=True)
        log_file = self._log_file()
        log = RunLog(goal=goal)
        complete = {
            # What somebody set wins over what was measured.
            **self._tuned(),
            **self.world.environ,
            **environ,
            **self._names(*reports),
        }
        watched = watch(
            self._command(full_refresh),
            complete,
            root=self.paths.root,
            log=log,
            log_file=log_file,
            redact=self.world.redact,
            lock=self.lock,
            job=self.job,
            run_id=self.run_id,
            signals=self.signals,
            console=self.console,
            memory=self.memory,
        )
        selected = self.job.selected(complete)
        tap, loader, decision = (read_report(report) for report in reports)
        for report, last in zip(reports, kept, strict=True):
            with suppress(OSError):
                report.replace(last)
        build = read_build(Path(self.world.environ["DBT_TARGET_PATH"]), self.began)
        evidence = Evidence(
            job=self.job,
            code=watched.code,
            log=log,
            selected=selected,
            tap=tap,
            loader=loader,
            build=build and name_broken_rules(build, log.broken_rules),
            decision=decision_of(decision),
            oom_kills=self.memory.oom_kills,
        )
        outcome = self._outcome(watched, evidence)
        outcome.log_file = log_file
        outcome.decision = evidence.decision
        if self.job.plugin:
            outcome.report = tap
            outcome.streams = stream_outcomes(tap, loader, selected)
        outcome.phases = self._phases(outcome, watched)
        return outcome

    def _command(self, full_refresh: bool) -> list[str]:
        command = [str(self.paths.binaries / "meltano"), "--env-file", str(self.paths.no_dotenv)]
        command += ["--log-format=json", f"--environment={self.world.environment}", "run"]
        # Our lock says that nobody else runs; what Meltano remembers of a killed run may be stale.
        return [*command, "--force", *(["--full-refresh"] if full_refresh else []), self.job.name]

    def _tuned(self) -> dict[str, str]:
        """Return what `pipeboard tune` found out about the loader."""
        size = measured_batch_size(self.lock.connection, self.world.environment)
        return {BATCH_SIZE_ROWS: str(size)} if size else {}

    def _names(self, report: Path, loader_report: Path, build_report: Path) -> dict[str, str]:
        """Return by what names the tap, the loader and dbt know this run."""
        return {
            "PIPEBOARD_RUN_ID": self.run_id,
            "PIPEBOARD_PIPELINE": self.job.pipeline,
            "PIPEBOARD_RUN_REPORT": str(report),
            "PIPEBOARD_LOADER_REPORT": str(loader_report),
            REPORT: str(build_report),
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

    def _outcome(self, watched: Watched, evidence: Evidence) -> Outcome:
        log, redact = evidence.log, self.world.redact
        judgement = judge(evidence)
        if judgement.status not in LOADED:
            judgement = self._ended_from_outside(judgement, watched, log)
        reason = judgement.reason
        if judgement.status == FAILED and not reason:
            reason = log.errors[-1] if log.errors else "no reason given"
        return Outcome(
            self.run_id,
            judgement.status,
            int(judgement.code),
            self.began,
            time.time() - self.began,
            build=evidence.build if log.dbt_total is not None else None,
            errors=[redact(line) for line in log.errors],
            notices=[redact(line) for line in log.notices],
            part=judgement.part,
            reason=redact(reason)[:500] if reason else None,
        )

    def _ended_from_outside(self, judged: Judgement, watched: Watched, log: RunLog) -> Judgement:
        """Say what we know better: who ended the run, and whether the database was there."""
        if watched.stopped_by:
            code, reason = watched.stopped_by
            status = INTERRUPTED if code in STATUSES[INTERRUPTED].exit_codes else FAILED
            return Judgement(status, code, judged.part if log.failed else log.part, reason)
        if watched.lost_database and judged.code in (ExitCode.FAILED, ExitCode.DATA):
            # What failed then says little: dbt and Meltano have one code for everything.
            reason = judged.reason or (log.errors[-1] if log.errors else "")
            words = f"the database went away: {reason}".rstrip(": ")
            return Judgement(FAILED, ExitCode.UNAVAILABLE, judged.part, words)
        return judged

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
        end = end_of(error, self.world.redact)
        if self.signals.asked:
            end = End(INTERRUPTED, self.signals.exit_code, self.signals.words, "pipeboard")
        return Outcome(
            self.run_id,
            end.status,
            end.exit_code,
            self.began,
            time.time() - self.began,
            part=end.failed_stage or "",
            reason=end.reason,
        )

    # -- telling -----------------------------------------------------------------------------

    def tell(self, outcome: Outcome) -> None:
        """Write history, push metrics; neither may change how the run ended."""
        end = self._end(outcome)
        deadline = time.monotonic() + DATABASE_WAIT_SECONDS
        waits = False
        while True:
            try:
                history.note_streams(self.lock.connection, self.run_id, outcome.streams)
                history.finish(self.lock.connection, self.run_id, end)
                break
            except psycopg.Error as error:
                if time.monotonic() >= deadline or self.signals.again:
                    self.console.note("history", f"could not be written: {first_line(error)}")
                    break
                if not waits:
                    waits = True
                    words = (
                        f"waiting up to {DATABASE_WAIT_SECONDS:.0f} s for the database, to tell "
                    )
                    self.console.note("history", f"{words}it the end: {first_line(error)}")
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
            phases=outcome.phases,
        )
        if self.world.environ.get("PUSHGATEWAY_URL"):
            _push(self.world, self.job, self.console, self._measures(outcome))

    def _end(self, outcome: Outcome) -> End:
        report = outcome.report or {}
        streams = streams_of(report)
        rows = sum(stream.sent for stream in outcome.streams) if streams else None
        if rows is None:
            try:
                rows = sum(n for _, n, _ in history.loaded(self.lock.connection, self.run_id))
            except psycopg.Error:
                rows = None
        details: dict[str, Any] = {"phases": outcome.phases}
        if report:
            details["behind"] = report.get("behind") or []
            details["streams"] = streams
        if outcome.decision and outcome.decision.current is not None:
            details["current_models"] = outcome.decision.current
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
        phases = outcome.phases or {**dict.fromkeys(PHASES, 0.0), "total": outcome.seconds}
        of_end(measures, self.began, outcome.status, int(outcome.code), phases)
        measures.set("peak_memory_bytes", self.memory.peak_bytes)
        measures.set("memory_limit_bytes", self.memory.limit)
        measures.set("build_info", 1, *build_info(self.paths))
        of_streams(measures, outcome.streams)
        of_build(measures, outcome.build, outcome.decision)
        try:
            of_history(measures, self.lock.connection, self.job.pipeline)
            of_loads(measures, self.lock.connection, self.run_id)
            of_tests(measures, self.lock.connection)
            of_warehouse(measures, self.lock.connection)
        except psycopg.Error as error:
            self.console.note("metrics", f"without those of the warehouse: {type(error).__name__}")
        return measures


def _push(world: World, job: Job, console: Console, measures: Measures) -> None:
    gateway = world.environ.get("PUSHGATEWAY_URL")
    trouble = push_to(gateway, job.pipeline, measures) if gateway else None
    if trouble:
        console.note("metrics", world.redact(trouble))


def read_report(path: Path) -> dict[str, Any] | None:
    """Read a report of tap or loader; None if there is none, or nothing that can be read."""
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
