from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stand_ins import job

from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.errors import PipeboardError
from pipeboard.outcomes import STATUSES, STREAM_OUTCOMES
from pipeboard.run import ops
from pipeboard.run.history import (
    End,
    begin,
    finish,
    is_running,
    latest,
    latest_of_each,
    new_run_id,
    note_ended,
    stream_outcomes,
    stream_troubles,
    totals,
    who_runs,
)
from pipeboard.run.ops import migrate, migrate_database
from pipeboard.run.run_lock import RunLock, is_locked

SKIPPED = End("skipped", 0, "busy")
JOBS = ("sync", "elt", "sweep", "backfill")


@pytest.fixture
def connection(database: DatabaseUrl) -> Iterator[psycopg.Connection]:
    migrate_database(database)
    with psycopg.connect(database.url, autocommit=True) as found:
        yield found


def test_the_tables_are_made_once(database: DatabaseUrl) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        assert migrate(connection)
        assert not migrate(connection)
        connection.execute("comment on table ops.etl_run is 'Schema version 0.'")
        assert migrate(connection), "an older version is brought up to date"


def test_the_tables_know_the_outcomes_that_there_are(connection: psycopg.Connection) -> None:
    checks = dict(
        connection.execute(
            """
            select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint
            where conname in ('etl_run_status_check', 'stream_outcome_outcome_check')
            """
        ).fetchall()
    )
    named = {table: set(re.findall(r"'(\w+)'", text)) for table, text in checks.items()}
    assert named["ops.etl_run"] == {"running", *STATUSES}
    assert named["ops.stream_outcome"] == set(STREAM_OUTCOMES)


def test_migration_renames_statuses_of_older_runs(connection: psycopg.Connection) -> None:
    connection.execute("alter table ops.etl_run drop constraint etl_run_status_check")
    connection.execute(
        "alter table ops.etl_run add check (status in ('running', 'succeeded', 'failed'))"
    )
    for run_id, status, code in (("a", "succeeded", 75), ("b", "failed", 143), ("c", "failed", 69)):
        connection.execute(
            "insert into ops.etl_run (run_id, job, pipeline, lane, environment, version, status, "
            "exit_code, finished_at) "
            "values (%s, 'sync', 'main', 'main', 'dev', '0', %s, %s, now())",
            [run_id, status, code],
        )
    connection.execute("comment on table ops.etl_run is 'Schema version 1.'")
    assert migrate(connection)
    rows = connection.execute("select status from ops.etl_run order by run_id").fetchall()
    assert rows == [("behind",), ("interrupted",), ("failed",)]


def test_the_release_before_version_4_still_writes_after_a_rollback(
    connection: psycopg.Connection,
) -> None:
    connection.execute("alter table ops.etl_run drop column concurrency_group")
    connection.execute("comment on table ops.etl_run is 'Schema version 3.'")
    insert = (
        "insert into ops.etl_run (run_id, job, pipeline, lane, environment, version) "
        "values (%s, 'backfill', 'backfill', 'backfill', 'dev', '0')"
    )
    connection.execute(insert, ["before"])
    assert [run["concurrency_group"] for run in latest(connection, 1)] == ["backfill"]
    connection.execute("delete from ops.etl_run where run_id = 'before'")
    assert migrate(connection)
    connection.execute(insert, ["rolled back"])
    found = connection.execute("select concurrency_group from ops.etl_run").fetchall()
    assert found == [("backfill",)]


def test_the_wait_for_a_locked_table_ends_and_names_the_session(
    connection: psycopg.Connection, database: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeboard.run.ops.LOCK_SECONDS", 2.0)
    connection.execute("comment on table ops.etl_run is 'Schema version 1.'")
    with psycopg.connect(database.url, application_name="a reader") as reader:
        reader.execute("select count(*) from ops.etl_run")
        with pytest.raises(
            PipeboardError, match=r"locked by process \d+ \(a reader, idle in trans"
        ):
            migrate(connection)
        reader.rollback()
        reader.execute("select pg_advisory_xact_lock(hashtextextended('pipeboard:ops', 0))")
        with pytest.raises(
            PipeboardError, match=r"locked by process \d+ \(a reader, idle in trans"
        ):
            migrate(connection)
    assert migrate(connection)


def test_a_run_that_skipped_does_not_hide_the_one_before(
    connection: psycopg.Connection, database: DatabaseUrl
) -> None:
    with closing(RunLock(database, "main", "a")) as lock:
        assert lock.take()
        begin(lock.connection, "a", job("sync"), "dev")
    wait_for_a_free_lock(connection)
    for name in ("b", "c"):
        note_ended(connection, name, job("sync"), "dev", time.time(), SKIPPED)
    found = [(run["run_id"], run["status"]) for run in latest_of_each(connection)]
    assert found == [("c", "skipped"), ("a", "abandoned")]


def test_a_role_that_may_not_create_is_an_error(
    database: DatabaseUrl, superuser: psycopg.Connection
) -> None:
    superuser.execute("create schema ops")
    with (
        psycopg.connect(database.url, autocommit=True) as connection,
        pytest.raises(Exception, match="pipeboard migrate"),
    ):
        migrate(connection)


def wait_for_a_free_lock(connection: psycopg.Connection) -> None:
    """A server needs a moment to see that a session has ended, and a busy one more."""
    deadline = time.monotonic() + 20
    while is_locked(connection, "main") and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_row_without_a_supervisor_is_shown_as_abandoned(
    connection: psycopg.Connection, database: DatabaseUrl
) -> None:
    with closing(RunLock(database, "main", "a")) as lock:
        assert lock.take()
        begin(lock.connection, "a", job("sync"), "dev")
        assert latest(connection, 1)[0]["status"] == "running"
        assert who_runs(connection, "main").startswith("run a of sync has been running since")
    wait_for_a_free_lock(connection)
    assert latest(connection, 1)[0]["status"] == "abandoned"
    # The one that was given up may turn out to live (its network came back): its word is too late.
    with closing(RunLock(database, "main", "b")) as lock:
        assert lock.take()
        begin(lock.connection, "b", job("sync"), "dev")
    wait_for_a_free_lock(connection)
    assert not is_running(connection, "a")
    finish(connection, "a", End("succeeded", 0))
    assert [run["status"] for run in latest(connection, 2)] == ["abandoned", "abandoned"]


def test_totals_add_up_a_pipeline_of_several_jobs(
    connection: psycopg.Connection, database: DatabaseUrl
) -> None:
    with closing(RunLock(database, "main", "x")) as lock:
        assert lock.take()
        for name, end in (
            ("sync", End("succeeded", 0, rows=5, tokens=100)),
            ("elt", End("failed", 69, rows=2, tokens=None)),
            ("sweep", End("succeeded", 0, rows=1000, tokens=1000)),
        ):
            run_id = new_run_id()
            begin(connection, run_id, job(name), "dev")
            finish(connection, run_id, end)
        note_ended(connection, new_run_id(), job("sync"), "dev", time.time(), SKIPPED)
    found = totals(connection, "main")
    assert {name: n for name, n in found.runs.items() if n} == {
        "succeeded": 1,
        "failed": 1,
        "skipped": 1,
    }
    assert found.runs.keys() == STATUSES.keys()
    assert (found.rows, found.tokens) == (7, 100)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(JOBS), st.integers(0, 3), st.sampled_from(["go", "end", "die", "cut"])
        ),
        max_size=14,
    )
)
def test_never_two_running(
    connection: psycopg.Connection,
    database: DatabaseUrl,
    steps: list[tuple[str, int, str]],
) -> None:
    """Supervisors begin, end, die and lose their connections in any order."""
    connection.execute("truncate ops.etl_run")
    sessions: dict[int, tuple[str, RunLock]] = {}
    for job_name, number, step in steps:
        known = job(job_name)
        if step == "go" and number not in sessions:
            run_id = new_run_id()
            lock = RunLock(database, known.concurrency_group, run_id)
            if lock.take():
                begin(lock.connection, run_id, known, "dev")
                sessions[number] = (run_id, lock)
            else:
                note_ended(lock.connection, run_id, known, "dev", time.time(), SKIPPED)
                lock.close()
        elif number in sessions:
            run_id, lock = sessions[number]
            if step == "cut":
                lock.connection.close()
                if not (lock.retake() and is_running(lock.connection, run_id)):
                    lock.close()
                    del sessions[number]
                continue
            if step == "end":
                finish(lock.connection, run_id, End("succeeded", 0))
            lock.close()
            del sessions[number]
        running = connection.execute(
            "select concurrency_group, run_id from ops.etl_run where status = 'running'"
        ).fetchall()
        assert len({group for group, _ in running}) == len(running)
        for run_id, lock in sessions.values():
            assert (lock.concurrency_group, run_id) in running
            assert is_locked(connection, lock.concurrency_group)
    for _, lock in sessions.values():
        lock.close()


def test_a_turn_to_change_the_tables_is_waited_for(
    database: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "LOCK_SECONDS", 0.6)
    out = io.StringIO()
    with psycopg.connect(database.url, autocommit=True) as other:
        other.execute(f"select pg_advisory_lock({ops.TURN})".encode())
        with pytest.raises(PipeboardError, match="schema ops are locked by") as caught:
            migrate_database(database, Console(out))
    assert caught.value.code == 69
    assert "migrate       waiting up to 1 s for" in out.getvalue()
    assert migrate_database(database, Console(out))


def test_before_the_first_run_no_stream_is_known(database: DatabaseUrl) -> None:
    with psycopg.connect(database.url) as connection:
        assert stream_troubles(connection) == []
        assert stream_outcomes(connection) == {}


def test_a_lock_without_a_database_is_one_line() -> None:
    nowhere = DatabaseUrl.parse("postgresql://a:secret@127.0.0.1:9/c")
    with pytest.raises(PipeboardError, match=r"the database a@.* cannot be reached") as caught:
        RunLock(nowhere, "main", "run")
    assert caught.value.code == 69
