"""Runs one job under the run lock and records its outcome."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from pipeboard.outcomes import FAILED, INTERRUPTED, LOADED, STATUSES, SUCCEEDED
from pipeboard.problems import ExitCode
from pipeboard.run import history
from pipeboard.run.changed import REPORT, Decision, decision_of
from pipeboard.run.dbt_results import Build, name_broken_rules, read_build
from pipeboard.run.history import BATCH_SIZE_ROWS, End, measured_batch_size
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
from pipeboard.run.proof import (
    Evidence,
    Judgement,
    StreamOutcome,
    judge,
    stream_outcomes,
    streams_of,
)
from pipeboard.run.reporting import CommandScope, mark_reported, push_to, report_failures
from pipeboard.run.run_log import RunLog
from pipeboard.run.session import RunSession, run_session
from pipeboard.run.watch import Watched, watch

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.paths import Paths
    from pipeboard.run.jobs import Job
    from pipeboard.worlds import World

KEPT_LOGS = 50


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
    scope = CommandScope(job, console, world.environ, world=world)
    with report_failures(scope), run_session(world, job, console, scope.began) as session:
        if ended := session.begin():
            return _skipped(session, ended)
        # A run that hangs shows in the metrics as a start without an end.
        started = Measures()
        started.set("last_run_timestamp_seconds", session.began)
        _push(session, started)
        run = _Run(paths, session)
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


def _skipped(session: RunSession, end: End) -> Outcome:
    measures = Measures()
    of_history(measures, session.connection, session.job.pipeline)
    _push(session, measures)
    return session_outcome(session, end)


def session_outcome(session: RunSession, end: End) -> Outcome:
    """Return the outcome of a run that did not get as far as Meltano."""
    return Outcome(
        session.run_id,
        end.status,
        end.exit_code,
        session.began,
        time.time() - session.began,
        part=end.failed_stage or "",
        reason=end.reason,
    )


@dataclass
class _Run:
    """A run that holds the run lock."""

    paths: Paths
    session: RunSession
    memory: Memory = field(default_factory=Memory)

    # -- running -----------------------------------------------------------------------------

    def watch(
        self, full_refresh: bool, environ: Mapping[str, str], goal: tuple[str, int] | None
    ) -> Outcome:
        """Run Meltano to its end and find out what that means."""
        world, job = self.session.world, self.session.job
        group = (world.environment, job.concurrency_group)
        kept = (
            self.paths.report(*group),
            self.paths.loader_report(*group),
            self.paths.build_report(*group),
        )
        # Named by the run: the lock is the database's, and one checkout may serve two databases;
        # and what outlived a killed run may still report.
        reports = [report.with_name(f"{self.session.run_id}.{report.name}") for report in kept]
        kept[0].parent.mkdir(parents=True, exist_ok=True)
        of_killed_runs = sorted(kept[0].parent.glob("*Z-*.json"))[:-KEPT_LOGS]
        for report in (*kept, *of_killed_runs):
            report.unlink(missing_ok=True)
        log_file = self._log_file()
        log = RunLog(goal=goal)
        complete = {
            # What somebody set wins over what was measured.
            **self._tuned(),
            **world.environ,
            **environ,
            **self._names(*reports),
        }
        watched = watch(
            self._command(full_refresh),
            complete,
            self.session,
            root=self.paths.root,
            log=log,
            log_file=log_file,
            memory=self.memory,
        )
        selected = job.selected(complete)
        tap, loader, decision = (read_report(report) for report in reports)
        for report, last in zip(reports, kept, strict=True):
            with suppress(OSError):
                report.replace(last)
        build = read_build(Path(world.environ["DBT_TARGET_PATH"]), self.session.began)
        evidence = Evidence(
            job=job,
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
        if job.plugin:
            outcome.report = tap
            outcome.streams = stream_outcomes(tap, loader, selected)
        outcome.phases = self._phases(outcome, watched)
        return outcome

    def _command(self, full_refresh: bool) -> list[str]:
        command = [str(self.paths.binaries / "meltano"), "--env-file", str(self.paths.no_dotenv)]
        command += ["--log-format=json", f"--environment={self.session.world.environment}", "run"]
        # Our lock says that nobody else runs; what Meltano remembers of a killed run may be stale.
        command += ["--force", *(["--full-refresh"] if full_refresh else [])]
        return [*command, self.session.job.name]

    def _tuned(self) -> dict[str, str]:
        """Return what `pipeboard tune` found out about the loader."""
        size = measured_batch_size(self.session.connection, self.session.world.environment)
        return {BATCH_SIZE_ROWS: str(size)} if size else {}

    def _names(self, report: Path, loader_report: Path, build_report: Path) -> dict[str, str]:
        """Return by what names the tap, the loader and dbt know this run."""
        return {
            "PIPEBOARD_RUN_ID": self.session.run_id,
            "PIPEBOARD_PIPELINE": self.session.job.pipeline,
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
        name = f"{now}-{self.session.world.environment}-{self.session.job.name}-{os.getpid()}.jsonl"
        return self.paths.logs / name

    # -- what it means -----------------------------------------------------------------------

    def _outcome(self, watched: Watched, evidence: Evidence) -> Outcome:
        log, redact = evidence.log, self.session.world.redact
        judgement = judge(evidence)
        if judgement.status not in LOADED:
            judgement = self._ended_from_outside(judgement, watched, log)
        reason = judgement.reason
        if judgement.status == FAILED and not reason:
            reason = log.errors[-1] if log.errors else "no reason given"
        return Outcome(
            self.session.run_id,
            judgement.status,
            int(judgement.code),
            self.session.began,
            time.time() - self.session.began,
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
        """Return the outcome of a run that failed outside Meltano."""
        return session_outcome(self.session, self.session.end_of(error))

    # -- telling -----------------------------------------------------------------------------

    def tell(self, outcome: Outcome) -> None:
        """Record the end in the history and push metrics; neither changes how the run ended."""
        self.session.finish(self._end(outcome), outcome.streams)
        if self.session.world.environ.get("PUSHGATEWAY_URL"):
            _push(self.session, self._measures(outcome))

    def _end(self, outcome: Outcome) -> End:
        report = outcome.report or {}
        streams = streams_of(report)
        rows = sum(stream.sent for stream in outcome.streams) if streams else None
        if rows is None:
            try:
                rows = sum(
                    n for _, n, _ in history.loaded(self.session.connection, self.session.run_id)
                )
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
        of_end(measures, self.session.began, outcome.status, int(outcome.code), phases)
        measures.set("peak_memory_bytes", self.memory.peak_bytes)
        measures.set("memory_limit_bytes", self.memory.limit)
        measures.set("build_info", 1, *build_info(self.paths))
        of_streams(measures, outcome.streams)
        of_build(measures, outcome.build, outcome.decision)
        try:
            of_history(measures, self.session.connection, self.session.job.pipeline)
            of_loads(measures, self.session.connection, self.session.run_id)
            of_tests(measures, self.session.connection)
            of_warehouse(measures, self.session.connection)
        except psycopg.Error as error:
            self.session.console.note(
                "metrics", f"without those of the warehouse: {type(error).__name__}"
            )
        return measures


def _push(session: RunSession, measures: Measures) -> None:
    gateway = session.world.environ.get("PUSHGATEWAY_URL")
    trouble = push_to(gateway, session.job.pipeline, measures) if gateway else None
    if trouble:
        session.console.note("metrics", session.world.redact(trouble))


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
