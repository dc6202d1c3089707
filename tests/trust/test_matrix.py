"""Each fault in each phase: a run with it, the run again, and a comparison with the account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pipeline
import pytest
from matrix import (
    EACH_CHANGE,
    ELSEWHERE,
    EXCEPTIONS,
    FAULTS,
    OF_SEVERAL,
    PHASES,
    Bench,
    Fault,
    NotPossibleError,
    broken,
    small_disk,
    table,
)
from play import Play
from processes import PlayOfProcesses
from server import ROOT, Server, running
from story import Edit, Story, Sync
from valkey_server import running_valkey

#: What a run may read: what a deal's history needs, its lines, and a list of another type.
STREAMS = [
    "deal_changelog", "deal_changelog_sync", "deal_products", "deal_products_sync", "deals",
    "persons", "pipelines", "stages", "users",
]  # fmt: skip
EDITS = [
    Edit("move_deal", 1, 2), Edit("move_deal", 3, 1), Edit("win_deal", 2, 0),
    Edit("create_deal", 0, 4), Edit("update_person", 1, 7), Edit("attach_product", 4, 0),
]  # fmt: skip
#: The run in which the fault strikes, and the same run again.
STRUCK, AGAIN = "run 1", "run 2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("matrix") / "server"
    with running(folder, synchronous_commit="on") as found:
        yield found


def _cells() -> Iterator[Any]:
    for fault in FAULTS:
        for phase in fault.phases:
            marks = [] if (fault.name, phase) in EACH_CHANGE else [pytest.mark.nightly]
            yield pytest.param(fault, phase, marks=marks, id=f"{fault.name}-{phase}")


@pytest.mark.parametrize(("fault", "phase"), list(_cells()))
def test_a_run_after_a_fault_makes_everything_right(
    server: Server, fault: Fault, phase: str
) -> None:
    pipeline.quiet()
    bench = Bench(server)
    with ExitStack() as parts:
        if "redis_url" in fault.config:
            bench.valkey = parts.enter_context(running_valkey())
        if fault.name == "disk full":
            try:
                bench.disk = parts.enter_context(small_disk(server))
            except NotPossibleError as error:
                pytest.skip(str(error))
        play = _play(bench, fault, phase)
        play.run()
    assert bench.struck == 1, "\n".join(play.log)
    ends = EXCEPTIONS.get((fault.name, phase), fault.ends)
    assert play.outcomes[1:3] == [ends, "succeeded"], "\n".join(play.log)
    assert not fault.reason or f"{ends} ({fault.reason}" in "\n".join(play.log)


def _play(bench: Bench, fault: Fault, phase: str) -> Play:
    """Write the story of a cell: the first sync, edits, the struck run, and the run again."""
    syncs = [Sync(0), Sync(60, EDITS), Sync(90_000)]
    if phase == "first sync":
        syncs = [Sync(0, database="unreachable"), Sync(60), Sync(90_000, EDITS)]
    story = Story(7, 12, 5, 40, fault.name != "session ended", STREAMS, syncs)
    play = PlayOfProcesses(story, bench.server.url)
    config = dict(fault.config)
    if bench.valkey is not None:
        config["redis_url"] = bench.valkey.url
    if phase == "sweep":
        # What was edited is stored by a sync before; a sweep reads no change logs.
        story.syncs = [Sync(0), Sync(60), Sync(90_000)]
        config["sweep"] = True
    play.config = {STRUCK: config, AGAIN: {"sweep": True} if phase == "sweep" else {}}
    is_apart = phase in ("backfill", "sweep")
    states: list[dict[str, Any]] = [{}]

    @contextmanager
    def struck(play: Play) -> Iterator[None]:
        with _state(play, states, is_apart), broken(bench, fault, phase, play):
            yield

    @contextmanager
    def again(play: Play) -> Iterator[None]:
        with _state(play, states, is_apart):
            yield

    play.around = {STRUCK: struck, AGAIN: again}
    return play


@contextmanager
def _state(play: Play, states: list[dict[str, Any]], is_apart: bool) -> Iterator[None]:
    """Use the state of the job, which for a backfill or a sweep is another one."""
    if not is_apart:
        yield
        return
    of_sync, play.warehouse.state = play.warehouse.state, states[-1]
    yield
    states.append(play.warehouse.state)
    play.warehouse.state = of_sync


def test_the_table_of_the_matrix_is_in_the_readme() -> None:
    readme = Path(__file__).with_name("README.md").read_text()
    assert table() in readme, f"put this table into tests/trust/README.md:\n{table()}"


def test_the_tests_of_the_other_phases_exist() -> None:
    for (fault, _), test in ELSEWHERE.items():
        file, _, name = test.partition("::")
        text = (ROOT / file).read_text()
        assert f"def {name}(" in text, test
        if test in OF_SEVERAL:
            assert f'"{fault.removeprefix("Pushgateway ")}"' in text, (fault, test)


def test_each_pair_of_each_change_is_a_pair() -> None:
    pairs = {(fault.name, phase) for fault in FAULTS for phase in fault.phases}
    assert pairs >= EACH_CHANGE
    assert {phase for _, phase in pairs} == set(PHASES)
