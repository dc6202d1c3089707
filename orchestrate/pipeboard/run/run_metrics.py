"""Computes the metrics of a run, of the history of runs and of the warehouse."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from pipeboard.outcomes import BEHIND, COMPLETE, LOADED, STATUSES, STREAM_OUTCOMES, SUCCESSES
from pipeboard.run import history
from pipeboard.run.changed import Decision
from pipeboard.run.dbt_results import Build
from pipeboard.run.metrics import MetricSet
from pipeboard.run.proof import StreamOutcome

if TYPE_CHECKING:
    from pipeboard.paths import Paths

PHASES = ("extract", "load", "snapshot", "dbt", "total")
TEST_STATUSES = ("pass", "warn", "fail", "error")
#: The kinds of nodes that a build creates.
BUILT_KINDS = ("model", "seed", "snapshot")
TESTS = "select test_name, severity, status, n_failures from ops.ops_dbt_test_result order by 1"

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


def of_end(
    metrics: MetricSet, began: float, status: str, code: int, phases: dict[str, float]
) -> None:
    """Add the outcome of a run."""
    metrics.set("last_run_timestamp_seconds", began)
    metrics.set("last_run_status", float(status in SUCCESSES))
    metrics.fill("last_run_outcome", {name: float(name == status) for name in STATUSES})
    metrics.set("last_run_exit_code", code)
    # Also without the history: a start without an end means a run that hangs.
    metrics.set("last_completion_timestamp_seconds", time.time(), status)
    metrics.fill("last_run_duration_seconds", phases)


def of_streams(metrics: MetricSet, streams: Iterable[StreamOutcome]) -> None:
    """Add how each stream ended, and its quarantined records and values."""
    for stream in streams:
        for outcome in STREAM_OUTCOMES:
            value = float(outcome == stream.outcome)
            metrics.set("stream_outcome", value, stream.stream, outcome)
        metrics.set("stream_quarantined_records", stream.quarantined, stream.stream)
        metrics.set("stream_nulled_values", stream.nulled_values, stream.stream)
        metrics.set("stream_incomplete_parents", stream.incomplete_parents, stream.stream)


def of_history(metrics: MetricSet, connection: psycopg.Connection, pipeline: str) -> None:
    """Add the sums over the runs of a pipeline."""
    totals = history.totals(connection, pipeline)
    metrics.fill("runs_total", {status: float(n) for status, n in totals.runs.items()})
    metrics.fill(
        "last_completion_timestamp_seconds", {s: t.timestamp() for s, t in totals.last.items()}
    )
    successes = [totals.last[name] for name in SUCCESSES if totals.last.get(name)]
    if successes:
        metrics.set("last_success_timestamp_seconds", max(successes).timestamp())
    metrics.set("run_rows_total", totals.rows)
    metrics.set("run_api_tokens_total", totals.tokens)


def of_loads(metrics: MetricSet, connection: psycopg.Connection, run_id: str) -> None:
    """Add the rows that a run loaded by stream, and the freshness of every stream."""
    fresh = freshness(connection)
    counts = dict.fromkeys(fresh, (0, 0))
    for stream, rows, refused in history.loaded(connection, run_id):
        counts[stream] = (rows, refused)
    for stream, (rows, refused) in counts.items():
        metrics.set("last_run_rows_loaded", rows, stream)
        metrics.set("last_run_rows_rejected", refused, stream)
    metrics.fill("stream_loaded_timestamp_seconds", fresh)


def freshness(connection: psycopg.Connection) -> dict[str, float]:
    """Return when each stream was last read and loaded to its end, or as far as the tokens allowed.

    A loader closes its books when its input ends, and cannot know that a tap was killed; the
    history of runs does. Loads without a run there (by hand, with Meltano alone) count.
    """
    if not exists(connection, "ops.stream_load", "ops.stream_outcome"):
        return {}
    found = connection.execute(
        """
        select load.stream, extract(epoch from max(load.finished_at))::float
        from ops.stream_load as load
        left join ops.etl_run as run using (run_id)
        left join ops.stream_outcome as last_outcome using (run_id, stream)
        where load.finished_at is not null
          and (run.run_id is null or run.status = any(%(loaded)s))
          -- Runs of an older version have no outcome of streams.
          and coalesce(
              last_outcome.outcome = any(%(read)s),
              run.run_id is null or run.status = any(%(successes)s)
          )
        group by load.stream order by load.stream
        """,
        {"loaded": list(LOADED), "read": [COMPLETE, BEHIND], "successes": list(SUCCESSES)},
    ).fetchall()
    return dict(found)


def remaining_histories(connection: psycopg.Connection) -> int | None:
    """Count the deals whose change log was never read; None before there are any."""
    if not exists(connection, "pipedrive.deals", "pipedrive.deal_changelog_sync"):
        return None
    row = connection.execute(REMAINING).fetchone()
    return int(row[0]) if row else None


def of_warehouse(metrics: MetricSet, connection: psycopg.Connection) -> None:
    """Add how much history is known."""
    remaining = remaining_histories(connection)
    if remaining is not None:
        metrics.set("stage_history_remaining_deals", remaining)
    if exists(connection, "marts.fct_deal"):
        for quality, deals in connection.execute(QUALITY).fetchall():
            metrics.set("stage_history_quality_deals", deals, quality)


def of_build(metrics: MetricSet, build: Build | None, decision: Decision | None) -> None:
    """Add how many models were built, and how many needed no build."""
    if build is None and decision is None:
        return
    built = [r for r in (build.results if build else []) if r.kind in BUILT_KINDS]
    # Where everything was built, nothing was current.
    current = (decision.current or 0) if decision else 0
    metrics.fill(
        "dbt_models",
        {"built": sum(r.status == "success" for r in built), "current": current},
    )


def of_tests(metrics: MetricSet, connection: psycopg.Connection) -> None:
    """Add the last result of each dbt test; not every build runs every test."""
    if not exists(connection, "ops.ops_dbt_test_result"):
        return
    results = connection.execute(TESTS).fetchall()
    for severity in ("error", "warn"):
        counts = Counter(status for _, of, status, _ in results if of == severity)
        for status in TEST_STATUSES:
            metrics.set("dbt_tests", counts[status], severity, status)
    for name, _, _, failures in results:
        metrics.set("dq_failures", failures, name)


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
    """Tell whether all these tables exist."""
    return all(
        connection.execute("select to_regclass(%s) is not null", [table]).fetchone() == (True,)
        for table in tables
    )
