"""What is measured of a run, of its history and of the warehouse it leaves behind."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from pipeboard import history
from pipeboard.dbt_results import Build
from pipeboard.metrics import Measures

if TYPE_CHECKING:
    from pipeboard.paths import Paths

PHASES = ("extract", "load", "snapshot", "dbt", "total")
#: The most memory that anything in this pod ever needed, where the kernel counts it.
CGROUP_PEAK = Path("/sys/fs/cgroup/memory.peak")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
TEST_STATUSES = ("pass", "warn", "fail", "error", "skipped")

REMAINING = """
    select count(*) from pipedrive.deals
    where not exists (
        select from pipedrive.deal_changelog_sync as known where known.deal_id = deals.id
    )
"""
QUALITY = """
    select coalesce(history_quality, 'none'), count(*) from marts.fct_deal
    where not is_deleted group by 1
"""


def of_history(measures: Measures, connection: psycopg.Connection, pipeline: str) -> None:
    """Add what accumulates over the runs of a pipeline."""
    totals = history.totals(connection, pipeline)
    measures.fill("runs_total", {status: float(n) for status, n in totals.runs.items()})
    measures.fill(
        "last_completion_timestamp_seconds", {s: t.timestamp() for s, t in totals.last.items()}
    )
    measures.set("run_rows_total", totals.rows)
    measures.set("run_api_tokens_total", totals.tokens)


def of_loads(measures: Measures, connection: psycopg.Connection, run_id: str) -> None:
    """Add what a run loaded, stream by stream, and how fresh every stream is."""
    fresh = freshness(connection)
    counts = dict.fromkeys(fresh, (0, 0))
    for stream, rows, refused in history.loaded(connection, run_id):
        counts[stream] = (rows, refused)
    for stream, (rows, refused) in counts.items():
        measures.set("last_run_rows_loaded", rows, stream)
        measures.set("last_run_rows_rejected", refused, stream)
    measures.fill("stream_loaded_timestamp_seconds", fresh)


def freshness(connection: psycopg.Connection) -> dict[str, float]:
    """Return when each stream was last read and loaded to its end, by runs that succeeded.

    A loader closes its books when its input ends, and cannot know that a tap was killed; the
    history of runs does. Loads without a run there (by hand, with Meltano alone) count.
    """
    if not exists(connection, "ops.stream_load"):
        return {}
    found = connection.execute(
        """
        select stream, extract(epoch from max(load.finished_at))::float
        from ops.stream_load as load
        left join ops.etl_run as run using (run_id)
        where load.finished_at is not null and coalesce(run.status, 'succeeded') = 'succeeded'
        group by stream order by stream
        """
    ).fetchall()
    return dict(found)


def remaining_histories(connection: psycopg.Connection) -> int | None:
    """Count the deals whose change log was never read; None before there are any."""
    if not exists(connection, "pipedrive.deals", "pipedrive.deal_changelog_sync"):
        return None
    row = connection.execute(REMAINING).fetchone()
    return int(row[0]) if row else None


def of_warehouse(measures: Measures, connection: psycopg.Connection) -> None:
    """Add how much history is known."""
    remaining = remaining_histories(connection)
    if remaining is not None:
        measures.set("stage_history_remaining_deals", remaining)
    if exists(connection, "marts.fct_deal"):
        for quality, deals in connection.execute(QUALITY).fetchall():
            measures.set("stage_history_quality_deals", deals, quality)


def of_build(measures: Measures, build: Build) -> None:
    """Add what dbt's tests found."""
    tests = [result for result in build.results if result.kind == "test"]
    for severity in ("error", "warn"):
        counts = Counter(test.status for test in tests if test.severity == severity)
        for status in TEST_STATUSES:
            measures.set("dbt_tests", counts[status], severity, status)
    for test in tests:
        measures.set("dq_failures", test.failures or 0, test.name)


def peak_memory_bytes(environ: Mapping[str, str]) -> int:
    """Return the most memory used: by the whole pod, else by the largest program of the run."""
    if "KUBERNETES_SERVICE_HOST" in environ:
        try:
            return int(CGROUP_PEAK.read_text())
        except (OSError, ValueError):
            pass
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_limit_bytes(environ: Mapping[str, str]) -> int:
    """Return what the pod may use; 0 where nothing limits it."""
    if "KUBERNETES_SERVICE_HOST" in environ:
        try:
            return int(CGROUP_LIMIT.read_text())
        except (OSError, ValueError):  # "max", for one
            pass
    return 0


def build_info(paths: Paths) -> tuple[str, str, str]:
    """Return the versions of supervisor, sources and tap."""
    sha = os.environ.get("PIPEBOARD_GIT_SHA") or _git_sha(paths.root)
    found = paths.environment("tap").glob("lib/python*/site-packages/tap_pipedrive-*.dist-info")
    tap = next((path.name.split("-")[1].removesuffix(".dist") for path in found), "")
    return history.VERSION, sha, tap


def _git_sha(root: Path) -> str:
    if not (root / ".git").exists():
        return ""
    outcome = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=root,
        text=True,
        capture_output=True,
        check=False,
    )
    return outcome.stdout.strip()


def exists(connection: psycopg.Connection, *tables: str) -> bool:
    """Tell whether all of some tables are there."""
    return all(
        connection.execute("select to_regclass(%s) is not null", [table]).fetchone() == (True,)
        for table in tables
    )
