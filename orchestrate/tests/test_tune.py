from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from pipeboard.commands.tune import (
    JOB,
    Tried,
    best,
    forget,
    parsed_sizes,
    scratch_folder,
)
from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import Environment
from pipeboard.errors import PipeboardError
from pipeboard.paths import Paths
from pipeboard.run.history import End, begin, finish, measured_batch_size
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
