from __future__ import annotations

from pathlib import Path

import pytest

from pipeboard.database_url import DatabaseUrl
from pipeboard.paths import Paths
from pipeboard.problems import ExitCode, Problem
from pipeboard.runner import only_run
from pipeboard.worlds import World, own_world


@pytest.fixture
def world(tmp_path: Path, database: DatabaseUrl) -> World:
    return own_world(Paths(tmp_path), {}, database.url, embedded=True)


@pytest.mark.parametrize("second", ["sync", "elt"])
def test_a_second_run_of_a_pipeline_is_refused(world: World, second: str) -> None:
    with only_run(world, "sync"):
        with pytest.raises(Problem, match="another run") as caught, only_run(world, second):
            pass
        assert caught.value.code == ExitCode.UNAVAILABLE
    with only_run(world, second):
        pass


def test_a_backfill_may_run_beside_a_sync(world: World) -> None:
    with only_run(world, "sync"), only_run(world, "backfill"):
        pass
