"""What is measured of a run, of its history and of the warehouse it leaves behind."""

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
from pipeboard.run.metrics import Measures
from pipeboard.run.proof import StreamOutcome

if TYPE_CHECKING:
    from pipeboard.paths import Paths

PHASES = ("extract", "load", "snapshot", "dbt", "total")
TEST_STATUSES = ("pass", "warn", "fail", "error")
#: What a build makes, by dbt's word for it.
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
    measures: Measures, began: float, status: str, code: int, phases: dict[str, float]
) -> None:
    """Add how a run ended."""
    measures.set("last_run_timestamp_seconds", began)
    measures.set("last_run_status", float(status in SUCCESSES))
    measures.fill("last_run_outcome", {name: float(name == status) for name in STATUSES})
    measures.set("last_run_exit_code", code)
    # Also where the history cannot be asked: a start without an end means a run that hangs.
    measures.set("last_completion_timestamp_seconds", time.time(), status)
    measures.fill("last_run_duration_seconds", phases)


def of_streams(measures: Measures, streams: Iterable[StreamOutcome]) -> None:
    """Add how each stream ended, and what was set aside of it."""
    for stream in streams:
        for outcome in STREAM_OUTCOMES:
            value = float(outcome == stream.outcome)
            measures.set("stream_outcome", value, stream.stream, outcome)
        measures.set("stream_quarantined_records", stream.quarantined, stream.stream)
        measures.set("stream_nulled_values", stream.nulled_values, stream.stream)
        measures.set("stream_incomplete_parents", stream.incomplete_parents, stream.stream)


def of_history(measures: Measures, connection: psycopg.Connection, pipeline: str) -> None:
    """Add what accumulates over the runs of a pipeline."""
    totals = history.totals(connection, pipeline)
    measures.fill("runs_total", {status: float(n) for status, n in totals.runs.items()})
    measures.fill(
        "last_completion_timestamp_seconds", {s: t.timestamp() for s, t in totals.last.items()}
    )
    successes = [totals.last[name] for name in SUCCESSES if totals.last.get(name)]
    if successes:
        measures.set("last_success_timestamp_seconds", max(successes).timestamp())
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
    """Return when each stream was last read and loaded to its end, or as far as tokens went.

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
        left join ops.stream_outcome as ended using (run_id, stream)
        where load.finished_at is not null
          and (run.run_id is null or run.status = any(%(loaded)s))
          -- Runs of an older version have no outcome of streams.
          and coalesce(
              ended.outcome = any(%(read)s),
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


def of_warehouse(measures: Measures, connection: psycopg.Connection) -> None:
    """Add how much history is known."""
    remaining = remaining_histories(connection)
    if remaining is not None:
        measures.set("stage_history_remaining_deals", remaining)
    if exists(connection, "marts.fct_deal"):
        for quality, deals in connection.execute(QUALITY).fetchall():
            measures.set("stage_history_quality_deals", deals, quality)


def of_build(measures: Measures, build: Build | None, decision: Decision | None) -> None:
    """Add how many models were built, and how many needed no build."""
    if build is None and decision is None:
        return
    built = [r for r in (build.results if build else []) if r.kind in BUILT_KINDS]
    # Where everything was built, nothing was current.
    current = (decision.current or 0) if decision else 0
    measures.fill(
        "dbt_models",
        {"built": sum(r.status == "success" for r in built), "current": current},
    )


def of_tests(measures: Measures, connection: psycopg.Connection) -> None:
    """Add what each of dbt's tests found when it last ran; not every build runs every test."""
    if not exists(connection, "ops.ops_dbt_test_result"):
        return
    results = connection.execute(TESTS).fetchall()
    for severity in ("error", "warn"):
        counts = Counter(status for _, of, status, _ in results if of == severity)
        for status in TEST_STATUSES:
            measures.set("dbt_tests", counts[status], severity, status)
    for name, _, _, failures in results:
        measures.set("dq_failures", failures, name)


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
