"""Stories to the marts: one that holds, and wrong rows that each comparison must find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import warehouse_play
from play import Play
from project_copy import Project
from server import postgres
from stories import result_of
from story import CORE, Edit, Story, Sync
from warehouse_play import WarehousePlay, project_in

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("marts")
    with postgres(folder / "server") as url, project_in(folder / "dbt", url) as found:
        yield found


def _story() -> Story:
    edits = [Edit("move_deal", 1, 2), Edit("win_deal", 2, 0), Edit("create_deal", 0, 1)]
    return Story(7, 5, 500, 5000, True, sorted(CORE), [Sync(0), Sync(60, edits)])


def _with_a_day_added(column: str) -> Callable[[Play], AbstractContextManager[None]]:
    """Return what makes the stays of the deals wrong, after the sync and before the build."""

    @contextmanager
    def around(play: Play) -> Iterator[None]:
        yield
        play.warehouse.connection.execute(
            "update intermediate.int_deal_stage_intervals "
            f"set {column} = {column} + interval '1 day'".encode()
        )

    return around


def test_a_story_holds_although_each_build_is_killed_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warehouse_play, "KILLED_SHARE", 1.0)
    playing = WarehousePlay(_story(), project)
    result = result_of(playing)
    assert result.broken is None, "\n".join(result.log)
    assert playing.killed_builds >= 1
    assert playing.histories >= 10


@pytest.mark.parametrize(
    ("run", "finding"), [("run 1", ": stays "), ("idle run", "incremental and full differ")]
)
def test_a_wrong_stay_is_found(project: Project, run: str, finding: str) -> None:
    playing: Any = WarehousePlay(_story(), project)
    playing.around = {run: _with_a_day_added("valid_from")}
    result = result_of(playing)
    assert result.broken is not None
    assert finding in result.broken
