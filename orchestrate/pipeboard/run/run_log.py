"""Reads Meltano's log lines: the step of a run, its progress, its errors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from pipeboard.console import ANSI

DBT_STEP = re.compile(r"(\d+) of (\d+) (\w+) (.*?)(?: \.{2,}|$)")
#: How Meltano reports the exit code of dbt, and of a tap in discovery.
QUOTED_EXIT_CODE = re.compile(
    r"(?:failed with exit code: |Catalog discovery failed: .* returned )(-?\d+)"
)
#: How transform/macros/grouped_rules.sql names a rule that a test of many rules found broken.
BROKEN_RULE = re.compile(r"Broken: (\S+), (\d+) rows \((\w+)\)")
STREAM = re.compile(r"(?:Beginning|Starting).*? sync of '?([a-z_]+)'?")
METRIC = re.compile(r"METRIC: (\{.*\})")
MAX_ERRORS = 12


@dataclass
class RunLog:
    """Reads a run's log line by line."""

    step: str = "starting"
    stream: str = ""
    records: dict[str, int] = field(default_factory=dict)
    dbt_done: int = 0
    #: How many nodes dbt will run; None until dbt reports it.
    dbt_total: int | None = None
    #: How many steps of the job Meltano completed.
    completed: int = 0
    #: Exit code by kind of plugin; -N for signal N.
    failed: dict[str, int] = field(default_factory=dict)
    #: Whether Meltano's pipe to the loader broke, so that the loader's exit code is unknown.
    lost_loader: bool = False
    errors: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    #: Rules that tests of many rules found broken, with their rows, by status (warn, fail).
    broken_rules: dict[str, list[str]] = field(default_factory=dict)
    #: Rows by stream, by the bookkeeping of the loader.
    loaded: dict[str, int] = field(default_factory=dict)
    #: A stream, and how many rows of it make the run complete.
    goal: tuple[str, int] | None = None
    #: Whether dbt reported a compilation error whose reason is in the next line.
    _opened_error: bool = False

    def read(self, line: str) -> None:
        """Read one line."""
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            if line.strip():
                self._remember_error(line.strip())
            return
        self.read_entry(entry)

    def read_entry(self, entry: dict[str, Any]) -> None:
        """Read one entry of Meltano's JSON log."""
        text = ANSI.sub("", str(entry.get("event", "")))
        plugin = str(entry.get("name") or "")
        if entry.get("event") == "Block run completed":
            self._block_completed(entry)
        elif _broke_pipe(entry):
            # If the loader is gone, Meltano fails when it writes to it.
            self.lost_loader = True
        elif plugin == "dbt":
            self._read_dbt(text)
        elif entry.get("string_id"):
            self.step = "extract and load"
            self._read_singer(plugin, text, entry)
        elif entry.get("level") in ("error", "critical"):
            self._remember_error(text)

    @property
    def progress(self) -> str:
        """Return the progress of the run."""
        if self.step == "dbt build":
            done = f": {self.dbt_done} of {self.dbt_total}" if self.dbt_total else ""
            return f"dbt build{done}"
        if self.step == "extract and load":
            if self.goal:
                stream, rows = self.goal
                return f"{self.loaded.get(stream, 0):,} of {rows:,} deals"
            total = max(sum(self.records.values()), sum(self.loaded.values()))
            where = f", now {self.stream}" if self.stream else ""
            return f"extract and load: {total:,} records{where}"
        return self.step

    @property
    def part(self) -> str:
        """Name the program that is running."""
        return {"dbt build": "dbt", "extract and load": "tap-pipedrive"}.get(self.step, "meltano")

    def _block_completed(self, entry: dict[str, Any]) -> None:
        if entry.get("success"):
            self.completed += 1
            return
        codes = entry.get("exit_codes") or {}
        self.failed.update({str(kind): int(code) for kind, code in codes.items()})
        if not codes:
            # A pair that did not even start, or one of the commands after it.
            singer = entry.get("block_type") == "ExtractLoadBlocks"
            quoted = QUOTED_EXIT_CODE.search(str(entry.get("err") or ""))
            self.failed["extractors" if singer else "utilities"] = int(quoted[1]) if quoted else 1

    def _read_dbt(self, text: str) -> None:
        self.step = "dbt build"
        found = DBT_STEP.search(text)
        if "Running with dbt" in text:
            self.dbt_total, self.dbt_done = None, 0
        elif "Nothing to do" in text:
            self.dbt_total = 0
        elif found and not found[4].startswith("hook:"):
            self.dbt_total = int(found[2])
            if found[3] != "START":
                self.dbt_done += 1
        if broken := BROKEN_RULE.search(text):
            name, rows, status = broken.groups()
            self.broken_rules.setdefault(status, []).append(f"{name}: {int(rows):,} rows")
        elif (
            re.search(r"\b(ERROR|FAIL|Failure|Error|MemoryError)\b", text) and "ERROR=0" not in text
        ):
            self._remember_error(text)
            self._opened_error = text.lstrip().startswith("Compilation Error")
        elif self._opened_error:
            # What does not compile is named first; the next line says why.
            self.errors[-1] += f": {text.strip()}"
            self._opened_error = False

    def _read_singer(self, plugin: str, text: str, entry: dict[str, Any]) -> None:
        found = STREAM.search(text)
        if found and plugin.startswith("tap-"):
            self.stream = found[1]
        metric = entry.get("metric_info") or entry.get("metric")
        if not isinstance(metric, dict):
            parsed = METRIC.search(text)
            metric = _object(parsed[1]) if parsed else None
        if metric and metric.get("metric") == "record_count" and plugin.startswith("tap-"):
            name = str((metric.get("tags") or {}).get("stream", ""))
            self.records[name] = self.records.get(name, 0) + int(metric.get("value") or 0)
        if entry.get("level") == "warning" and text not in self.notices:
            self.notices = [*self.notices, text][-MAX_ERRORS:]
        critical = entry.get("level") in ("error", "critical")
        if critical or re.search(r"\b(ERROR|CRITICAL|Traceback|[A-Z]\w+Error:)", text):
            self._remember_error(f"{plugin}: {text}")

    def _remember_error(self, text: str) -> None:
        self.errors = [*self.errors, text][-MAX_ERRORS:]


def _broke_pipe(entry: dict[str, Any]) -> bool:
    causes = entry.get("exception")
    return isinstance(causes, list) and any(
        cause.get("exc_type") == "BrokenPipeError" for cause in causes if isinstance(cause, dict)
    )


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
