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

from pipeboard.errors import ExitCode
from pipeboard.outcomes import FAILED, INTERRUPTED, LOADED, STATUSES, SUCCEEDED
from pipeboard.run import history
from pipeboard.run.changed import REPORT, Decision, decision_of
from pipeboard.run.dbt_results import Build, name_broken_rules, read_build
from pipeboard.run.history import BATCH_SIZE_ROWS, End, measured_batch_size
from pipeboard.run.memory import Memory
from pipeboard.run.metrics import MetricSet
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
from pipeboard.run.run_metrics import (
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
from pipeboard.run.session import RunSession, run_session
from pipeboard.run.watch import Watched, watch

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.paths import Paths
    from pipeboard.run.jobs import Job

MAX_LOGS = 50


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
    def status_and_code(self) -> tuple[str, int]:
        """Status and exit code."""
        return self.status, self.code

    @property
    def is_complete(self) -> bool:
        """Whether it did all its work: nothing stopped it, no stream stayed behind."""
        return self.status == SUCCEEDED


def run_job(
    paths: Paths,
    environment: Environment,
    job: Job,
    console: Console,
    *,
    full_refresh: bool = False,
    before: Callable[[], object] | None = None,
    environ: Mapping[str, str] | None = None,
    goal: tuple[str, int] | None = None,
) -> Outcome:
    """Run a job in an environment.

    Args:
        paths: of the checkout.
        environment: whose account and database.
        job: what to run.
        console: shows the progress.
        full_refresh: read everything again.
        before: what to check first; a :class:`PipeboardError` it raises is a failed run.
        environ: what the run gets to know beside its environment.
        goal: a stream, and how many rows of it make the run complete; for the progress.

    Raises:
        PipeboardError: the run could not begin; history and metrics know of it, where they can.

    """
    scope = CommandScope(job, console, environment.variables, environment=environment)
    with report_failures(scope), run_session(environment, job, console, scope.began) as session:
        if end := session.begin():
            scope.is_recorded = True
            return _skipped(session, end)
        # A run that hangs shows in the metrics as a start without an end.
        started = MetricSet()
        started.set("last_run_timestamp_seconds", session.began)
        _push(session, started)
        run = _Run(paths, session)
        try:
            if before:
                before()
            outcome = run.watch(full_refresh, environ or {}, goal)
        except BaseException as error:
            run.finish(run.broken(error))
            mark_reported(error)
            raise
        run.finish(outcome)
        scope.is_recorded = True
        return outcome


def _skipped(session: RunSession, end: End) -> Outcome:
    metrics = MetricSet()
    of_history(metrics, session.connection, session.job.pipeline)
    _push(session, metrics)
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
        """Run Meltano to its end and decide the outcome."""
        environment, job = self.session.environment, self.session.job
        group = (environment.name, job.concurrency_group)
        reports_of_last_run = (
            self.paths.report(*group),
            self.paths.loader_report(*group),
            self.paths.build_report(*group),
        )
        # The names include the run: the lock belongs to the database, and a checkout may serve two
        # databases; and a process of a killed run may still write its report.
        reports = [
            report.with_name(f"{self.session.run_id}.{report.name}")
            for report in reports_of_last_run
        ]
        reports_of_last_run[0].parent.mkdir(parents=True, exist_ok=True)
        of_killed_runs = sorted(reports_of_last_run[0].parent.glob("*Z-*.json"))[:-MAX_LOGS]
        for report in (*reports_of_last_run, *of_killed_runs):
            report.unlink(missing_ok=True)
        log_file = self._log_file()
        log = RunLog(goal=goal)
        complete = {
            # A setting of the user wins over the measured one.
            **self._tuned(),
            **environment.variables,
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
        for report, last in zip(reports, reports_of_last_run, strict=True):
            with suppress(OSError):
                report.replace(last)
        build = read_build(Path(environment.variables["DBT_TARGET_PATH"]), self.session.began)
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
        command += ["--log-format=json", f"--environment={self.session.environment.name}", "run"]
        # The run lock proves that no other run is active; Meltano may still list a killed one.
        command += ["--force", *(["--full-refresh"] if full_refresh else [])]
        return [*command, self.session.job.name]

    def _tuned(self) -> dict[str, str]:
        """Return the batch size that `pipeboard tune` measured."""
        size = measured_batch_size(self.session.connection, self.session.environment.name)
        return {BATCH_SIZE_ROWS: str(size)} if size else {}

    def _names(self, report: Path, loader_report: Path, build_report: Path) -> dict[str, str]:
        """Return the variables by which the tap, the loader and dbt know this run."""
        return {
            "PIPEBOARD_RUN_ID": self.session.run_id,
            "PIPEBOARD_PIPELINE": self.session.job.pipeline,
            "PIPEBOARD_RUN_REPORT": str(report),
            "PIPEBOARD_LOADER_REPORT": str(loader_report),
            REPORT: str(build_report),
            # Meltano parses the logs of the plugins, which must have their default format.
            "PIPEBOARD_LOG_FORMAT": "",
        }

    def _log_file(self) -> Path:
        """Name a new log; the oldest ones go."""
        self.paths.logs.mkdir(parents=True, exist_ok=True)
        for old in sorted(self.paths.logs.glob("*.jsonl"))[: -MAX_LOGS + 1]:
            old.unlink(missing_ok=True)
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
        name = f"{now}-{self.session.environment.name}-{self.session.job.name}-{os.getpid()}.jsonl"
        return self.paths.logs / name

    # -- the outcome -----------------------------------------------------------------------

    def _outcome(self, watched: Watched, evidence: Evidence) -> Outcome:
        log, redact = evidence.log, self.session.environment.redact
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
        """Correct the judgement if the supervisor ended the run, or the database went away."""
        if watched.stopped_by:
            code, reason = watched.stopped_by
            status = INTERRUPTED if code in STATUSES[INTERRUPTED].exit_codes else FAILED
            return Judgement(status, code, judged.part if log.failed else log.part, reason)
        if watched.lost_database and judged.code in (ExitCode.FAILED, ExitCode.DATA):
            # dbt and Meltano have one exit code for all errors, so it does not show the cause.
            reason = judged.reason or (log.errors[-1] if log.errors else "")
            text = f"the database went away: {reason}".rstrip(": ")
            return Judgement(FAILED, ExitCode.UNAVAILABLE, judged.part, text)
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

    # -- the end -----------------------------------------------------------------------------

    def finish(self, outcome: Outcome) -> None:
        """Record the end in the history and push metrics; neither changes how the run ended."""
        self.session.finish(self._end(outcome), outcome.streams)
        if self.session.environment.variables.get("PUSHGATEWAY_URL"):
            _push(self.session, self._metrics(outcome))

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

    def _metrics(self, outcome: Outcome) -> MetricSet:
        metrics = MetricSet()
        phases = outcome.phases or {**dict.fromkeys(PHASES, 0.0), "total": outcome.seconds}
        of_end(metrics, self.session.began, outcome.status, int(outcome.code), phases)
        metrics.set("peak_memory_bytes", self.memory.peak_bytes)
        metrics.set("memory_limit_bytes", self.memory.limit)
        metrics.set("build_info", 1, *build_info(self.paths))
        of_streams(metrics, outcome.streams)
        of_build(metrics, outcome.build, outcome.decision)
        try:
            of_history(metrics, self.session.connection, self.session.job.pipeline)
            of_loads(metrics, self.session.connection, self.session.run_id)
            of_tests(metrics, self.session.connection)
            of_warehouse(metrics, self.session.connection)
        except psycopg.Error as error:
            self.session.console.note(
                "metrics", f"without those of the warehouse: {type(error).__name__}"
            )
        return metrics


def _push(session: RunSession, metrics: MetricSet) -> None:
    gateway = session.environment.variables.get("PUSHGATEWAY_URL")
    trouble = push_to(gateway, session.job.pipeline, metrics) if gateway else None
    if trouble:
        session.console.note("metrics", session.environment.redact(trouble))


def read_report(path: Path) -> dict[str, Any] | None:
    """Read a report of tap or loader; None if there is none, or nothing that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _report_seconds(report: Mapping[str, Any] | None) -> float:
    try:
        started, finished = (
            datetime.fromisoformat(str((report or {})[name]).replace("Z", "+00:00"))
            for name in ("started_at", "finished_at")
        )
    except (KeyError, ValueError):
        return 0.0
    return (finished - started).total_seconds()
