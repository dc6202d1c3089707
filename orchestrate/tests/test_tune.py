from __future__ import annotations

import io
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from stand_ins import ROOT, executed, program

from pipeboard.commands.tune import (
    JOB,
    Plan,
    Tried,
    best,
    forget,
    parsed_sizes,
    scratch_folder,
    tune,
)
from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import Environment, own_environment
from pipeboard.errors import PipeboardError
from pipeboard.paths import Paths
from pipeboard.run.history import End, begin, finish, latest, measured_batch_size
from pipeboard.run.ops import migrate_database
from pipeboard.run.run_lock import RunLock


def tried(**seconds: float) -> list[Tried]:
    return [Tried(int(size[1:]), [taken]) for size, taken in seconds.items()]


def test_the_settings_that_a_killed_tuning_left_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEBOARD_STATE_DIR", str(tmp_path))
    left = tmp_path / "tune" / "config.json"
    left.parent.mkdir()
    left.write_text("{}")
    with scratch_folder(Paths(tmp_path)) as folder:
        assert list(folder.iterdir()) == []
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_the_fastest_is_chosen() -> None:
    assert best(tried(_1000=3.0, _10000=2.5, _20000=2.0), start=1.0) == 20_000


def test_what_differs_by_chance_is_the_default_else_the_smallest() -> None:
    assert best(tried(_1000=3.0, _10000=2.02, _20000=2.0), start=1.0) == 10_000
    assert best(tried(_500=2.02, _1000=2.0, _10000=3.0), start=1.0) == 500


def test_starting_up_is_not_loading() -> None:
    """Four percent of the whole, but a third of the loading."""
    assert best(tried(_1000=10.4, _10000=10.2, _20000=10.0), start=9.4) == 20_000


@pytest.mark.parametrize("text", ["", "a", "0,10", "10,,20"])
def test_sizes_are_numbers(text: str) -> None:
    with pytest.raises(PipeboardError, match="--sizes"):
        parsed_sizes(text)
    assert parsed_sizes("5000,1000,5000") == (1_000, 5_000)


def note(connection: psycopg.Connection, run_id: str, size: int | None, status: str) -> None:
    begin(connection, run_id, JOB, "dev")
    finish(connection, run_id, End(status, 0, details={"tuning": {"batch_size_rows": size}}))


def test_the_last_measurement_that_succeeded_counts(database: DatabaseUrl) -> None:
    migrate_database(database)
    with psycopg.connect(database.url, autocommit=True) as connection:
        assert measured_batch_size(connection, "dev") is None
        note(connection, "a", 5_000, "succeeded")
        note(connection, "b", 2_000, "succeeded")
        note(connection, "c", 1_000, "failed")
        assert measured_batch_size(connection, "dev") == 2_000
        assert measured_batch_size(connection, "prod") is None
        environment = Environment("own", "dev", database, embedded=True, variables={})
        assert forget(environment, Console()) == 0
        assert measured_batch_size(connection, "dev") is None
        with closing(RunLock(database, "main", "x")) as lock:
            assert lock.take()
            assert forget(environment, Console()) == 69, "a run is in progress"


DEALS = """
create schema pipedrive;
create table pipedrive.deals (
    id bigint primary key, title text, value numeric, _sdc_batched_at timestamptz
)
"""


@pytest.fixture
def account(tmp_path: Path, database: DatabaseUrl) -> Environment:
    """A warehouse with a few deals, and the loader of this checkout."""
    (tmp_path / ".pipeboard").mkdir()
    (tmp_path / ".pipeboard" / "bin").symlink_to(ROOT / ".pipeboard" / "bin")
    migrate_database(database)
    with psycopg.connect(database.url) as connection:
        connection.execute(DEALS.encode())
        connection.execute(
            "insert into pipedrive.deals select n, repeat('é', 50), n, now() "
            "from generate_series(1, 400) as n"
        )
    return own_environment(Paths(tmp_path), {"PATH": os.environ["PATH"]}, database.url, False)


def test_a_measurement_loads_with_each_size_and_leaves_only_its_result(
    tmp_path: Path, account: Environment
) -> None:
    """Also with fewer deals than rows, and with sizes that the byte limit of the loader hides."""
    account.variables["TARGET_POSTGRES_BATCH_SIZE_BYTES"] = "100000"
    out = io.StringIO()
    code = tune(Paths(tmp_path), account, Plan(1000, 1, (100, 5_000, 9_000)), Console(out))
    text = out.getvalue()
    assert code == 0, text
    assert "batch_size_bytes ends a batch at" in text
    assert "round 1       5,000 rows per batch: " in text
    assert "9,000" not in text, "a batch never gets as large as 5,000 already"
    with psycopg.connect(account.database.url) as connection:
        (run,) = latest(connection, 9)
        assert (run["status"], run["job"], run["rows"]) == ("succeeded", "tune", 2000)
        chosen = measured_batch_size(connection, "dev")
        assert f"later runs load {chosen:,} rows per batch" in text
        schemas = connection.execute("select to_regnamespace('pipeboard_tune')").fetchone()
        assert schemas == (None,)
    assert not (Paths(tmp_path).local / "tune").exists()


def test_a_setting_that_hides_the_result_is_named(tmp_path: Path, account: Environment) -> None:
    account.variables["TARGET_POSTGRES_BATCH_SIZE_ROWS"] = "7"
    out = io.StringIO()
    assert tune(Paths(tmp_path), account, Plan(200, 1, (100,)), Console(out)) == 0
    assert "once TARGET_POSTGRES_BATCH_SIZE_ROWS is no longer set" in out.getvalue()


def one_row(database: DatabaseUrl) -> list[str]:
    """Return the lines of a script that loads one row, whatever it is sent."""
    sql = "create schema if not exists pipeboard_tune; create table pipeboard_tune.deals as select"
    return [executed(database.url, f"{sql} 1")]


def failure_of(paths: Paths, environment: Environment, code: int) -> str:
    """Measure in vain; return the reason on record."""
    with pytest.raises(PipeboardError) as caught:
        tune(paths, environment, Plan(1000, 1, (100,)), Console(io.StringIO()))
    assert caught.value.code == code
    with psycopg.connect(environment.database.url) as connection:
        run = latest(connection, 1)[0]
    assert (run["status"], run["exit_code"]) == ("failed", code)
    return str(run["reason"])


def test_a_measurement_that_fails_is_on_record(tmp_path: Path, account: Environment) -> None:
    paths = Paths(tmp_path)
    with psycopg.connect(account.database.url, autocommit=True) as connection:
        connection.execute("truncate pipedrive.deals")
        assert "there are no deals" in failure_of(paths, account, 78)
        connection.execute("insert into pipedrive.deals (id) values (1)")
        (tmp_path / ".pipeboard" / "bin").unlink()
        program(paths, "target-postgres", *one_row(account.database))
        assert "the loader brought (1,) of 1000 rows" in failure_of(paths, account, 65)
        program(paths, "target-postgres", f"echo no {account.database.url} >&2", "exit 69")
        reason = failure_of(paths, account, 69)
        assert reason.startswith("the loader failed (69): no postgresql://")
        assert account.database.password not in reason
        connection.execute("drop table pipedrive.deals")
        assert "there is no table pipedrive.deals" in failure_of(paths, account, 78)


def test_a_signal_ends_a_measurement(tmp_path: Path, account: Environment) -> None:
    (tmp_path / ".pipeboard" / "bin").unlink()
    script = [f"kill -TERM {os.getpid()}", *one_row(account.database)]
    program(Paths(tmp_path), "target-postgres", *script)
    with psycopg.connect(account.database.url, autocommit=True) as connection:
        code = tune(Paths(tmp_path), account, Plan(1000, 1, (100,)), Console(io.StringIO()))
        run = latest(connection, 1)[0]
    assert (code, run["status"]) == (143, "interrupted")


def test_a_measurement_beside_a_run_is_skipped(
    tmp_path: Path, account: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeboard.commands.tune.JOB", replace(JOB, wait=0))
    with closing(RunLock(account.database, "main", "x")) as lock:
        assert lock.take()
        out = io.StringIO()
        assert tune(Paths(tmp_path), account, Plan(1000, 1, (100,)), Console(out)) == 0
    assert "skipped" in out.getvalue()
