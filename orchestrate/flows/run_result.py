"""The result of a pipeboard command, read from its JSON log, and the state of its flow run.

Imports nothing of Prefect, so that the mapping of exit codes is tested without it.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

# The table of outcomes needs nothing but Python, and pipeboard is not installed beside Prefect.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from pipeboard.outcomes import (
    BEHIND,
    CODES,
    FAILED,
    INCOMPLETE,
    INTERRUPTED,
    SKIPPED,
    STATUSES,
    SUCCEEDED,
    flow_state,
    is_retryable,
)

__all__ = ["CommandResult", "FlowState", "is_retryable", "report", "stream_rows", "table"]
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
MAX_LINES = 20
_WORST_FIRST = (FAILED, INCOMPLETE, INTERRUPTED, BEHIND, SUCCEEDED)


class FlowState(NamedTuple):
    """The state of a flow run: completed or failed, its name, its message."""

    completed: bool
    name: str
    message: str


class Line(NamedTuple):
    """One line of a log, and its level."""

    level: int
    text: str


@dataclass
class CommandResult:
    """The result of one command of pipeboard, as its JSON log reports it.

    Attributes:
        run_ids: its runs in `ops.etl_run`; a backfill has several.
        ends: the "run ended" entry of each run.
        skipped: why the run was skipped, if it was.
        last_lines: the last lines that are not JSON: an error message, or a traceback.

    """

    code: int = 0
    run_ids: list[str] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    skipped: str | None = None
    rows: int = 0
    calls: int = 0
    tokens: int = 0
    last_lines: list[str] = field(default_factory=list)

    def read(self, line: str) -> Line | None:
        """Read one line of the log; return it in readable form, None if it is empty."""
        text = line.strip()
        if not text:
            return None
        try:
            entry = json.loads(text)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            self.last_lines = [*self.last_lines, text][-MAX_LINES:]
            return Line(logging.WARNING if text.startswith("pipeboard:") else logging.INFO, text)
        run_id = entry.get("run_id")
        if run_id and run_id not in self.run_ids:
            self.run_ids.append(run_id)
        event = str(entry.get("event", ""))
        if entry.get("topic") == "skipped":
            self.skipped = event
        if event == "run ended":
            self.ends.append(entry)
            for name in ("rows", "calls", "tokens"):
                setattr(self, name, getattr(self, name) + (entry.get(name) or 0))
        return _readable(entry, event)

    @property
    def facts(self) -> dict[str, Any]:
        """The "run ended" entry that decides the result of the command: the worst one."""
        for name in _WORST_FIRST:
            matching = [end for end in self.ends if end.get("status") == name]
            if matching and self.code in STATUSES[name].exit_codes:
                return matching[-1]
        return self.ends[-1] if self.ends else {}

    @property
    def behind(self) -> list[str]:
        """The streams that the last run left for the next one."""
        return [str(name) for name in self.facts.get("behind") or []]

    @property
    def reason(self) -> str:
        """Return the reason that the log gives for the end."""
        reason = self.facts.get("reason") or next(reversed(self.last_lines), "")
        return str(reason).removeprefix("pipeboard: ")

    def flow_state(self) -> FlowState:
        """Return the state of the flow run."""
        facts = self.facts
        status = SKIPPED if self.code == 0 and self.skipped else facts.get("status")
        if status in STATUSES and self.code not in STATUSES[status].exit_codes:
            status = None  # something else failed after that run
        if status is None and self.code == 0 and self.behind:
            status = BEHIND
        name, completed = flow_state(status, self.code)
        return FlowState(completed, name, self._message(status, completed))

    def _message(self, status: str | None, completed: bool) -> str:
        cost = f"{self.rows:,} rows, {self.calls:,} calls, {self.tokens:,} tokens"
        if status == SKIPPED:
            return str(self.skipped)
        if not completed:
            stage = self.facts.get("failed_stage")
            where = f" in {stage}" if stage else ""
            return f"exit code {self.code}{where}: {self.reason or 'no reason'}"
        if self.behind and self.code == 0:
            # A success with streams left: their share of the tokens is spent.
            return f"{cost}; goes on with {', '.join(self.behind)}"
        if status == BEHIND or self.code:
            why = self.reason or "the day's token budget is spent; the next run goes on"
            return f"{why} ({cost})"
        return cost


def _readable(entry: dict[str, Any], event: str) -> Line:
    """Return an entry as one line: other programs' lines only for debugging.

    Meltano and what it runs log thousands of lines, all of them kept in the run's log file.
    """
    level = LEVELS.get(str(entry.get("level", "info")).lower(), logging.INFO)
    if "topic" in entry:
        return Line(level, f"{entry['topic']}: {event}")
    if event == "progress":
        seconds = int(entry.get("seconds") or 0)
        return Line(level, f"{seconds // 60}:{seconds % 60:02} {entry.get('progress')}")
    if event in ("run started", "run ended"):
        shown = ("job", "run_id", "status", "exit_code", "reason", "failed_stage", "rows", "tokens")
        facts = [f"{name}={entry[name]}" for name in shown if entry.get(name) is not None]
        return Line(level, " ".join([event, *facts]))
    part = entry.get("name") or entry.get("logger")
    if part and level < logging.WARNING:
        level = logging.DEBUG
    return Line(level, f"{part}: {event}" if part else event)


# -- for an artifact ----------------------------------------------------------------------------


def report(state: FlowState, runs: list[dict[str, Any]], last_lines: list[str], code: int) -> str:
    """Return a report as markdown: `runs` are rows of `pipeboard history --json`."""
    parts = [f"# {state.name}", "", state.message, ""]
    policy = CODES.get(code)
    if not state.completed and policy and policy.advice:
        parts += [f"> {policy.advice}", ""]
    if runs:
        header = ["run", "job", "status", "exit code", "seconds", "rows", "calls", "tokens"]
        keys = ["run_id", "job", "status", "exit_code", "seconds", "rows", "calls", "tokens"]
        parts += [*table(header, [[run.get(key) for key in keys] for run in runs]), ""]
    for run in runs:
        parts += _of_run(run, alone=len(runs) == 1)
    if not runs and last_lines:
        parts += ["## Last lines of output", "", "```", *last_lines, "```", ""]
    return "\n".join(parts).rstrip() + "\n"


def stream_rows(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per run and stream, for a table."""
    return [
        {
            "run": run["run_id"],
            "stream": name,
            "rows": int(used.get("records", 0)),
            "calls": int(used.get("calls", 0)),
            "tokens": int(used.get("tokens", 0)),
            "outcome": str(used.get("outcome") or ""),
        }
        for run in runs
        for name, used in ((run.get("details") or {}).get("streams") or {}).items()
    ]


def behind(run: dict[str, Any]) -> list[str]:
    """Return the streams that a run left for later."""
    return [str(name) for name in (run.get("details") or {}).get("behind") or []]


def table(header: list[str], rows: list[list[Any]]) -> list[str]:
    """Return a markdown table; numbers to the right."""
    numeric = [
        bool(rows) and all(isinstance(row[i], int | float | None) for row in rows)
        for i in range(len(header))
    ]
    lines = [header, ["---:" if right else "---" for right in numeric]]
    lines += [[_cell(value) for value in row] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _of_run(run: dict[str, Any], *, alone: bool) -> list[str]:
    details = run.get("details") or {}
    of = "" if alone else f" ({run['job']})"
    parts: list[str] = []
    if run.get("reason"):
        where = f"{run['failed_stage']}: " if run.get("failed_stage") else ""
        parts += [f"## Why{of}", "", f"{where}{run['reason']}", ""]
    # PostgreSQL orders the keys of jsonb by length.
    streams = dict(sorted((details.get("streams") or {}).items()))
    if streams:
        rows: list[list[Any]] = [
            [
                name,
                *(int(used.get(key, 0)) for key in ("records", "calls", "tokens")),
                str(used.get("outcome") or "").replace("_", " "),
            ]
            for name, used in streams.items()
        ]
        rows.append(["total", *(sum(row[i] for row in rows) for i in (1, 2, 3)), ""])
        parts += [f"## Rows and API tokens{of}", ""]
        parts += [*table(["stream", "rows", "calls", "tokens", "outcome"], rows), ""]
    if behind(run):
        parts += [f"## Behind{of}", "", "The next run goes on with: "]
        parts += [", ".join(f"`{name}`" for name in behind(run)), ""]
    if details.get("dbt"):
        header = ["dbt", "ok", "warned", "failed", "skipped"]
        counts_by_kind = sorted(details["dbt"].items())
        counts = [[kind, *(c.get(word, 0) for word in header[1:])] for kind, c in counts_by_kind]
        parts += [f"## Models and tests{of}", "", *table(header, counts), ""]
    if details.get("current_models"):
        parts += [f"{details['current_models']:,} models were current and not built.", ""]
    if details.get("failed_nodes"):
        parts += ["Failed: " + ", ".join(f"`{name}`" for name in details["failed_nodes"]), ""]
    if details.get("tuning"):
        parts += _of_tuning(details["tuning"])
    phases = details.get("phases") or {}
    known = [name for name in ("extract", "load", "snapshot", "dbt") if phases.get(name)]
    if known:
        took = ", ".join(f"{name} {phases[name]:,.1f} s" for name in known)
        parts += [f"Time{of}: {took}", ""]
    return parts


def _of_tuning(tuning: dict[str, Any]) -> list[str]:
    rows = [
        [
            tried["batch_size_rows"],
            round(tried["rows_per_second"]),
            round(tried["peak_memory_bytes"] / 2**20),
            "chosen" if tried["batch_size_rows"] == tuning["batch_size_rows"] else "",
        ]
        for tried in tuning["tried"]
    ]
    text = (
        f"{tuning['rows']:,} deals of this warehouse, medians of {tuning['rounds']}. "
        f"Differences below {tuning['noise']:.0%} count as none."
    )
    header = ["rows per batch", "rows per second", "memory (MiB)", ""]
    return ["## Batch sizes", "", text, "", *table(header, rows), ""]
