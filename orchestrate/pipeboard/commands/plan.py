"""The cost of a job, as the tap estimates it, against the daily budget."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local.schedule import read_schedules

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.environments import Environment
    from pipeboard.paths import Paths
    from pipeboard.run.jobs import Job

#: The tap spends 60 tokens at most; each of its requests has a time limit.
TIMEOUT_SECONDS = 600.0
DAY_SECONDS = 86_400
LINE = re.compile(r"^([a-z_]+) +([\d,]+) +([\d,]+)  (.*)$")
IDLE = re.compile(r"^With nothing new: ([\d,]+) tokens by hand; on a schedule ([\d,]+)(.*)\.$")
AT_INTERVALS = re.compile(r"; ([\d,]+) more every ([\d,]+) s")
BUDGET = re.compile(r"^Budget: ([\d,]+) tokens a day, of which this job may use (\d+)%")
HISTORIES = re.compile(
    r"^Streams that cost a call per record .*: (\d+) day\(s\) at ([\d,]+) each\.$"
)


@dataclass(frozen=True)
class Estimate:
    """What one stream will cost."""

    stream: str
    calls: int
    tokens: int
    basis: str


@dataclass(frozen=True)
class Idle:
    """The cost of a run that finds nothing new, in tokens.

    Attributes:
        by_hand: with every list read.
        every_run: what every scheduled run reads.
        at_intervals: tokens, and seconds between reads, of lists that hardly change.

    """

    by_hand: int
    every_run: int
    at_intervals: list[tuple[int, int]]

    def day(self, runs: int) -> int:
        """Return the maximum cost of a day with so many scheduled runs."""
        reads = [
            tokens * (min(runs, math.ceil(DAY_SECONDS / seconds)) if seconds else runs)
            for tokens, seconds in self.at_intervals
        ]
        return runs * self.every_run + sum(reads)


@dataclass(frozen=True)
class Plan:
    """The cost of a job.

    Attributes:
        estimates: one for each stream.
        a_day: its daily budget in tokens, None without a limit.
        idle: the cost of a run that finds nothing new.
        runs_a_day: how often the schedule starts it.
        histories_a_day: the part of the budget that per-record streams may spend.
        history_days: the days that these streams take.

    """

    estimates: list[Estimate]
    a_day: int | None
    idle: Idle | None = None
    runs_a_day: int = 0
    histories_a_day: int = 0
    history_days: int = 0

    @property
    def calls(self) -> int:
        """Calls of all streams."""
        return sum(estimate.calls for estimate in self.estimates)

    @property
    def tokens(self) -> int:
        """API tokens of all streams."""
        return sum(estimate.tokens for estimate in self.estimates)

    @property
    def days(self) -> int | None:
        """Return how many days' tokens it takes."""
        return max(math.ceil(self.tokens / self.a_day), self.history_days) if self.a_day else None

    def only(self, streams: list[str]) -> Plan:
        """Return the plan of some streams.

        Raises:
            PipeboardError: one of them is none of the job's.

        """
        known = [estimate.stream for estimate in self.estimates]
        wrong = sorted(set(streams) - set(known))
        if wrong:
            what = f"no stream of this job is called {', '.join(wrong)}"
            raise PipeboardError(what, f"There are {', '.join(known)}", ExitCode.USAGE)
        if not streams:
            return replace(self, idle=None)
        return Plan([e for e in self.estimates if e.stream in streams], self.a_day)

    def show(self, console: Console) -> None:
        """Show it."""
        console.heading("What it will cost")
        rows: list[list[object]] = [[e.stream, e.calls, e.tokens, e.basis] for e in self.estimates]
        rows.append(["total", self.calls, self.tokens, ""])
        console.table(["stream", "calls", "tokens", "how sure"], rows)
        if self.a_day is None:
            console.line("No daily budget is known: set PIPEDRIVE_DAILY_TOKENS to plan by days.")
        else:
            console.line(
                f"It may use {self.a_day:,} tokens a day"
                f"{f', {self.histories_a_day:,} of them on histories' if self.history_days else ''}"
                f": about {self.days} day"
                f"{'' if self.days == 1 else 's'}."
            )
        if self.idle:
            text = f"With nothing new it costs {self.idle.by_hand:,} tokens by hand"
            if self.runs_a_day:
                day = self.idle.day(self.runs_a_day)
                text += f", and an idle day of {self.runs_a_day} scheduled runs {day:,}"
            console.line(f"{text}.")
        console.event("plan", calls=self.calls, tokens=self.tokens, days=self.days)


def plan_job(
    paths: Paths,
    environment: Environment,
    job: Job,
    console: Console,
    environ: Mapping[str, str] | None = None,
) -> Plan:
    """Let the tap estimate the cost of a job from its state; this costs 60 tokens at most."""
    if job.plugin is None:
        what = f"the job {job.name} asks Pipedrive for nothing, or is not known to pipeboard"
        raise PipeboardError(what, "Name sync, reference, sweep or backfill", ExitCode.USAGE)
    complete = {**environment.variables, **(environ or {})}
    folder = paths.local / "plans"
    folder.mkdir(parents=True, exist_ok=True)
    suffix = complete["MELTANO_RUN_STATE_ID_SUFFIX"]
    state_id = f"{environment.name}:{job.plugin}-to-target-postgres:{suffix}"
    console.progress("plan", "looking at the account", 0)
    arguments = ["invoke", job.plugin, "--plan"]
    # With arguments, `meltano invoke` applies no selection: it passes on the catalog that the last
    # run left, also that of another environment. Of two catalogs the tap reads the last one.
    selected = job.selected(complete)
    if selected:
        catalog_file = folder / f"{environment.name}-{job.name}.catalog.json"
        catalog_file.write_text(json.dumps(_catalog(selected)))
        arguments += ["--catalog", str(catalog_file)]
    state = _meltano(paths, environment, complete, "state", "get", state_id, check=False)
    found = _singer_state(state)
    if found:
        state_file = folder / f"{environment.name}-{job.name}.state.json"
        state_file.write_text(found)
        arguments += ["--state", str(state_file)]
    output = _meltano(paths, environment, complete, *arguments)
    console.clear()
    schedules = [s for s in read_schedules(paths.root, complete) if s.job == job.name]
    return replace(read_plan(output), runs_a_day=sum(s.runs_a_day for s in schedules))


def read_plan(output: str) -> Plan:
    """Parse the output of the tap."""
    estimates = []
    a_day = idle = None
    history_days = histories_a_day = 0
    for line in output.splitlines():
        if found := LINE.match(line):
            name, calls, tokens, basis = found.groups()
            estimates.append(Estimate(name, _number(calls), _number(tokens), basis))
        elif found := BUDGET.match(line):
            a_day = _number(found[1]) * int(found[2]) // 100
        elif found := HISTORIES.match(line):
            history_days, histories_a_day = map(_number, found.groups())
        elif found := IDLE.match(line):
            lists = [(_number(n), _number(s)) for n, s in AT_INTERVALS.findall(found[3])]
            idle = Idle(_number(found[1]), _number(found[2]), lists)
    return Plan(estimates, a_day, idle, histories_a_day=histories_a_day, history_days=history_days)


def _catalog(streams: Iterable[str]) -> dict[str, object]:
    """Return a catalog that selects these streams and no other; it has no schemas."""
    selected = [{"breadcrumb": [], "metadata": {"selected": True}}]
    return {
        "streams": [
            {"tap_stream_id": name, "stream": name, "schema": {}, "metadata": selected}
            for name in sorted(streams)
        ]
    }


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _singer_state(text: str) -> str | None:
    try:
        state = json.loads(text).get("singer_state")
    except (ValueError, AttributeError):
        return None
    return json.dumps(state) if state else None


def _meltano(
    paths: Paths,
    environment: Environment,
    environ: Mapping[str, str],
    *arguments: str,
    check: bool = True,
) -> str:
    try:
        outcome = subprocess.run(
            [str(paths.binaries / "meltano"), "--env-file", str(paths.no_dotenv)]
            + ["--log-level=error", f"--environment={environment.name}", *arguments],
            cwd=paths.root,
            env=dict(environ),
            text=True,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        what = f"the plan could not be made within {TIMEOUT_SECONDS:.0f} s"
        raise PipeboardError(what, "Check with `make doctor`", ExitCode.UNAVAILABLE) from error
    if check and outcome.returncode:
        lines = environment.redact((outcome.stderr or outcome.stdout).strip()).splitlines()
        what = f"the plan could not be made: {lines[-1][:300] if lines else 'no reason given'}"
        code = outcome.returncode
        raise PipeboardError(
            what,
            "Check with `make doctor`",
            ExitCode(code) if code in set(ExitCode) else ExitCode.FAILED,
        )
    return outcome.stdout
