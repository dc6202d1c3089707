"""The history of runs, `ops.etl_run`: a row per run, from its start on.

A run that holds the run lock of its concurrency group is the only one of that group. A row that
still says "running" then belongs to a run whose supervisor died; it is marked abandoned before the
new run begins.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from pipeboard.outcomes import (
    ABANDONED,
    INCOMPLETE,
    NOT_PERMITTED,
    REFUSED,
    RUNNING,
    SKIPPED,
    STATUSES,
)
from pipeboard.run.run_lock import is_locked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeboard.run.jobs import Job
    from pipeboard.run.proof import StreamOutcome

VERSION = version("pipeboard")
#: How Meltano names the loader's setting.
BATCH_SIZE_ROWS = "TARGET_POSTGRES_BATCH_SIZE_ROWS"
DIED = "its supervisor died before it could record the end of the run"


def new_run_id() -> str:
    """Name a run: sorts by time, and says it."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass
class End:
    """How a run ended, as far as anybody knows."""

    status: str
    exit_code: int
    reason: str | None = None
    failed_stage: str | None = None
    rows: int | None = None
    calls: int | None = None
    tokens: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


def begin(connection: psycopg.Connection, run_id: str, job: Job, environment: str) -> None:
    """Note that a run begins. The caller holds the run lock."""
    with connection.transaction():
        died = connection.execute(
            """
            update ops.etl_run
            set status = %s, finished_at = greatest(seen_at, started_at), reason = %s
            where concurrency_group = %s and status = 'running'
            returning run_id
            """,
            [ABANDONED, DIED, job.concurrency_group],
        ).fetchall()
        for (dead,) in died:
            rows = sum(count for _, count, _ in loaded(connection, dead))
            connection.execute("update ops.etl_run set rows = %s where run_id = %s", [rows, dead])
        connection.execute(
            """
            insert into ops.etl_run (run_id, job, pipeline, lane, environment, version)
            values (%s, %s, %s, %s, %s, %s)
            """,
            [run_id, job.name, job.pipeline, job.concurrency_group, environment, VERSION],
        )


def note_ended(
    connection: psycopg.Connection,
    run_id: str,
    job: Job,
    environment: str,
    began: float,
    end: End,
) -> None:
    """Note a run that ended without its lock, so that it never counted as running."""
    connection.execute(
        """
        insert into ops.etl_run (
            run_id, job, pipeline, lane, environment, version, started_at, status, exit_code,
            reason, failed_stage, finished_at
        )
        values (%s, %s, %s, %s, %s, %s, to_timestamp(%s), %s, %s, %s, %s, clock_timestamp())
        on conflict (run_id) do nothing
        """,
        [
            *(run_id, job.name, job.pipeline, job.concurrency_group, environment, VERSION, began),
            *(end.status, end.exit_code, end.reason, end.failed_stage),
        ],
    )


def note_streams(
    connection: psycopg.Connection, run_id: str, streams: Iterable[StreamOutcome]
) -> None:
    """Note how each selected stream of a run ended."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into ops.stream_outcome (
                run_id, stream, outcome, records_sent, records_received, quarantined,
                nulled_values, incomplete_parents, reason
            )
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (run_id, stream) do nothing
            """,
            [
                (
                    *(run_id, one.stream, one.outcome, one.sent, one.received, one.quarantined),
                    *(one.nulled_values, one.incomplete_parents, one.reason),
                )
                for one in streams
            ],
        )


def sign_of_life(connection: psycopg.Connection, run_id: str) -> dict[str, int]:
    """Note that the run is still watched; return how many rows were loaded so far, by stream."""
    connection.execute(
        "update ops.etl_run set seen_at = clock_timestamp() where run_id = %s", [run_id]
    )
    return {stream: rows for stream, rows, _ in loaded(connection, run_id)}


def is_running(connection: psycopg.Connection, run_id: str) -> bool:
    """Tell whether a run counts as running, and was not marked as abandoned by a later one."""
    row = connection.execute("select status from ops.etl_run where run_id = %s", [run_id])
    return row.fetchone() == (RUNNING,)


def loaded(connection: psycopg.Connection, run_id: str) -> list[tuple[str, int, int]]:
    """Return stream, rows loaded and rows refused of a run, from the loader's own books."""
    if not _exists(connection, "ops.stream_load"):
        return []
    return connection.execute(
        """
        select stream, records_read - quarantined, quarantined from ops.stream_load
        where run_id = %s order by stream
        """,
        [run_id],
    ).fetchall()


def finish(connection: psycopg.Connection, run_id: str, end: End) -> None:
    """Note how a run ended, unless a later one gave it up already."""
    connection.execute(
        """
        update ops.etl_run
        set status = %s, exit_code = %s, reason = %s, failed_stage = %s, rows = %s, calls = %s,
            tokens = %s, details = %s, finished_at = clock_timestamp(), seen_at = clock_timestamp()
        where run_id = %s and status = 'running'
        """,
        [
            *(end.status, end.exit_code, end.reason, end.failed_stage, end.rows, end.calls),
            *(end.tokens, Jsonb(end.details), run_id),
        ],
    )


def who_runs(connection: psycopg.Connection, concurrency_group: str) -> str:
    """Return which run of the group holds the run lock, and since when."""
    row = connection.execute(
        """
        select job, run_id, started_at from ops.etl_run
        where concurrency_group = %s and status = 'running'
        """,
        [concurrency_group],
    ).fetchone()
    if row is None:
        return "another run is about to begin or end"
    job, run_id, started_at = row
    since = started_at.astimezone(timezone.utc)
    minutes = (datetime.now(timezone.utc) - since).total_seconds() / 60
    return f"run {run_id} of {job} has been running since {since:%H:%M} UTC ({minutes:.0f} min)"


def latest(
    connection: psycopg.Connection, count: int, pipeline: str | None = None
) -> list[dict[str, Any]]:
    """Return the latest runs, newest first.

    A row that says "running" while nobody holds the run lock is shown as abandoned; the next
    run will note that.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            """
            -- `lane` is there before this release's first run has migrated the table, too.
            select run_id, job, pipeline, lane as concurrency_group, environment, started_at,
                   finished_at, status, exit_code, reason, failed_stage, rows, calls, tokens,
                   version, details,
                   round(extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at))
                       ::integer as seconds
            from ops.etl_run
            where %(pipeline)s::text is null or pipeline = %(pipeline)s
            order by started_at desc limit %(count)s
            """,
            {"pipeline": pipeline, "count": count},
        )
        runs = cursor.fetchall()
    for run in runs:
        if run["status"] == RUNNING and not is_locked(connection, run["concurrency_group"]):
            run.update(status=ABANDONED, reason=DIED)
    return runs


def latest_of_each(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Return the latest run of each pipeline, and with it each one that skipped since then.

    A run that skipped did nothing, so it does not stand for the pipeline.
    """
    names = connection.execute(
        "select pipeline from ops.etl_run group by 1 order by min(started_at)"
    ).fetchall()
    found = []
    for (pipeline,) in names:
        skipped = 0
        for run in latest(connection, 100, pipeline):
            if run["status"] == SKIPPED:
                skipped += 1
                if skipped > 1:
                    continue
            found.append(run)
            if run["status"] != SKIPPED:
                break
    return found


@dataclass(frozen=True)
class StreamTrouble:
    """A stream that its last run could not read in full."""

    stream: str
    outcome: str
    run_id: str
    job: str
    reason: str | None
    incomplete_parents: int
    nulled_values: int


def stream_troubles(connection: psycopg.Connection) -> list[StreamTrouble]:
    """Return the streams that the last run which asked for them could not read in full."""
    if not _exists(connection, "ops.stream_outcome"):
        return []
    rows = connection.execute(
        """
        select stream, outcome, run_id, job, reason, incomplete_parents, nulled_values
        from (
            select distinct on (ended.stream) ended.*, run.job
            from ops.stream_outcome as ended
            inner join ops.etl_run as run using (run_id)
            where ended.outcome not in ('interrupted', 'not_due')
            order by ended.stream, run.started_at desc
        ) as last
        where outcome = any(%s) or incomplete_parents > 0 or nulled_values > 0
        order by stream
        """,
        [[NOT_PERMITTED, REFUSED, INCOMPLETE]],
    ).fetchall()
    return [StreamTrouble(*row) for row in rows]


def stream_outcomes(connection: psycopg.Connection) -> dict[str, str]:
    """Return how each stream ended in the last run that asked for it, by name."""
    if not _exists(connection, "ops.stream_outcome"):
        return {}
    rows = connection.execute(
        """
        select distinct on (ended.stream) ended.stream, ended.outcome
        from ops.stream_outcome as ended
        inner join ops.etl_run as run using (run_id)
        where ended.outcome not in ('interrupted', 'not_due')
        order by ended.stream, run.started_at desc
        """
    ).fetchall()
    return {str(stream): str(outcome) for stream, outcome in rows}


def quarantined(connection: psycopg.Connection) -> list[tuple[str, int, int]]:
    """Return stream, rows in quarantine, and rows that came there in the last 24 hours."""
    if not _exists(connection, "ops.quarantine"):
        return []
    return connection.execute(
        """
        select stream, count(*), count(*) filter (where at > now() - interval '24 hours')
        from ops.quarantine group by stream order by stream
        """
    ).fetchall()


def _exists(connection: psycopg.Connection, table: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", [table]).fetchone()
    return row == (True,)


@dataclass(frozen=True)
class Totals:
    """What accumulates over the runs of a pipeline."""

    runs: dict[str, int]
    last: dict[str, datetime]
    rows: int
    tokens: int


def totals(connection: psycopg.Connection, pipeline: str) -> Totals:
    """Add up all runs of a pipeline."""
    found = connection.execute(
        """
        select status, count(*), max(finished_at), coalesce(sum(rows), 0),
               coalesce(sum(tokens), 0)
        from ops.etl_run where pipeline = %s and status <> 'running' group by status
        """,
        [pipeline],
    ).fetchall()
    runs = dict.fromkeys(STATUSES, 0) | {status: count for status, count, *_ in found}
    return Totals(
        runs,
        {status: last for status, _, last, _, _ in found},
        sum(int(rows) for *_, rows, _ in found),
        sum(int(tokens) for *_, tokens in found),
    )


def measured_batch_size(connection: psycopg.Connection, environment: str) -> int | None:
    """Return the batch size that was measured last, None for the loader's default."""
    row = connection.execute(
        """
        select (details -> 'tuning' ->> 'batch_size_rows')::integer from ops.etl_run
        where job = 'tune' and environment = %s and status = 'succeeded'
        order by started_at desc limit 1
        """,
        [environment],
    ).fetchone()
    return row[0] if row else None
