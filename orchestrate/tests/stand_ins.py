"""A program in Meltano's place, and the reports that tap, loader and dbt leave behind."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from pipeboard.paths import Paths
from pipeboard.run.jobs import Job, job_named
from pipeboard.run.proof import CHANGED

ROOT = Path(__file__).resolve().parents[2]
#: What lets `make coverage` measure a process that a test starts with variables of its own.
MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}


def job(name: str, **limits: str) -> Job:
    """Return a job of this checkout's meltano.yml."""
    return job_named(ROOT, name).within({f"PIPEBOARD_{k}_SECONDS": v for k, v in limits.items()})


def tap_report(found: Job, **changed: Any) -> dict[str, Any]:
    """Return the report of a tap that read every stream to its end, one record of each."""
    used = {"outcome": "complete", "records": 1, "calls": 1, "tokens": 10, "retries": 0}
    used |= {"quarantined": 0, "nulled_values": 0, "incomplete_parents": 0, "reason": None}
    return {
        **{"version": 2, "exit_code": 0, "stopped": None, "message": None, "behind": []},
        **{"started_at": "2026-11-29T08:00:00Z", "finished_at": "2026-11-29T08:00:02Z"},
        **{"calls": 20, "tokens": 200, "plan_tokens_left": None},
        "streams": {name: dict(used) for name in sorted(found.streams)},
        **changed,
    }


def loader_report(found: Job, **changed: Any) -> dict[str, Any]:
    """Return the report of a loader that received one record of every stream."""
    counts = {"received": 1, "inserted": 1, "updated": 0, "unchanged": 0, "deleted": 0}
    counts |= {"quarantined": 0}
    return {
        **{"version": 1, "outcome": "complete", "exit_code": 0, "message": None},
        "finished_at": "2026-11-29T08:00:03Z",
        "streams": {name: dict(counts) for name in sorted(found.streams)},
        **changed,
    }


def results(*statuses: str) -> dict[str, Any]:
    """Return dbt's results: a hook, and a model of each status."""
    names = ["operation.pipeboard.on-run-start-0", *(f"model.p.m{i}" for i in range(len(statuses)))]
    return {
        "elapsed_time": 1.0,
        "results": [
            {"unique_id": name, "status": status, "message": "why", "execution_time": 0.1}
            for name, status in zip(names, ("success", *statuses), strict=True)
        ],
    }


def build_report(*due: str, current: int = 0) -> dict[str, Any]:
    """Return the report of `dbt:changed` when these models are due."""
    return {"version": 1, "due": list(due), "current": current, "reason": "why"}


def dbt_lines(total: int) -> list[dict[str, Any]]:
    """Return what Meltano logs of dbt, as far as it is read."""
    dbt = {"name": "dbt", "cmd_type": "command", "level": "info"}
    return [
        {**dbt, "event": "\x1b[0m08:00:00  Running with dbt=1.12.6"},
        {**dbt, "event": "08:00:00  1 of 2 START hook: pipeboard.on-run-start.0 .... [RUN]"},
        {**dbt, "event": f"08:00:01  1 of {total} OK created sql view model m0 ... [OK]"},
        {**dbt, "event": "08:00:02  2 of 2 OK hook: pipeboard.on-run-end.1 ......... [OK]"},
    ]


def completed(success: bool = True, **facts: Any) -> dict[str, Any]:
    """Return what Meltano logs of a step that ended."""
    return {"event": "Block run completed", "level": "info", "success": success, **facts}


def whole_run(found: Job) -> list[str]:
    """Return the lines of a script that leaves every proof of success."""
    lines = []
    if found.plugin:
        lines += file_lines('"$PIPEBOARD_RUN_REPORT"', tap_report(found))
        lines += file_lines('"$PIPEBOARD_LOADER_REPORT"', loader_report(found))
        lines += log_lines(completed(block_type="ExtractLoadBlocks"))
    if found.builds:
        lines += ['mkdir -p "$DBT_TARGET_PATH"']
        if CHANGED in found.commands:
            lines += file_lines('"$PIPEBOARD_BUILD_REPORT"', build_report("m0", current=2))
        lines += file_lines('"$DBT_TARGET_PATH/run_results.json"', results("success"))
        lines += log_lines(*dbt_lines(1), completed(block_type="InvokerCommand"))
    return lines


def file_lines(target: str, content: dict[str, Any]) -> list[str]:
    """Return the lines of a script that write a file."""
    return [f"cat > {target} <<'END'", json.dumps(content), "END"]


def log_lines(*entries: dict[str, Any]) -> list[str]:
    """Return the lines of a script that log."""
    return ["cat <<'END'", *map(json.dumps, entries), "END"]


def meltano(paths: Paths, *script: str) -> None:
    """Put a program in Meltano's place: how it ends, and what it leaves, is what matters here."""
    program(paths, "meltano", *script)


def executed(url: str, statements: str) -> str:
    """Return the line of a script that executes SQL; variables of the script may be in it."""
    code = "import psycopg, sys\nwith psycopg.connect(sys.argv[1]) as c: c.execute(sys.argv[2])"
    return f'{shlex.join([sys.executable, "-c", code, url])} "{statements}"'


def program(paths: Paths, name: str, *script: str) -> None:
    """Put a shell script in the place of a command of .pipeboard/bin."""
    paths.binaries.mkdir(parents=True, exist_ok=True)
    file = paths.binaries / name
    file.write_text("\n".join(["#!/bin/sh", *script, ""]))
    file.chmod(0o755)
