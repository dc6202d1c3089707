"""A short soak: it finds nothing that grows, until what grows is built in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import pipeline
import pytest
from play import Play
from server import running
from soak import AUTOVACUUM, BOUNDS, MOST_BLOAT, PANELS, Bound, draw, findings, table
from soak_play import Sample, Soak

#: Half a day, and then some syncs that leave something behind. A sample is taken after every two.
CLEAN, LEAKING, SAMPLE_EVERY = 24, 12, 2


@contextmanager
def leaking(play: Play) -> Iterator[None]:
    """Leave a file and an entry of the state behind each sync."""
    yield
    number = len(play.outcomes)
    (play._home / "state" / f"left {number}").write_text("left")
    play.warehouse.state.setdefault("bookmarks", {})[f"left_{number}"] = {"left": "x" * 100}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Soak]:
    pipeline.quiet()
    with running(tmp_path_factory.mktemp("soak") / "server", **AUTOVACUUM) as server:
        soak = Soak(server.url, CLEAN + LEAKING, sample_every=SAMPLE_EVERY, processes=False)
        soak.around = {f"run {number}": leaking for number in range(CLEAN, CLEAN + LEAKING)}
        soak.run()
        yield soak


@pytest.mark.long
def test_half_a_day_of_syncs_leaves_nothing_behind(played: Soak) -> None:
    assert not findings(played.samples[: CLEAN // SAMPLE_EVERY])


@pytest.mark.long
def test_a_file_and_an_entry_of_the_state_left_by_each_sync_are_found(played: Soak) -> None:
    found = findings(played.samples[CLEAN // SAMPLE_EVERY :])
    assert {line.split()[0] for line in found} == {"files", "state_bytes"}


@pytest.mark.long
def test_tables_have_about_the_bytes_that_they_need(played: Soak) -> None:
    assert 1 <= played.bloat < MOST_BLOAT


@pytest.mark.long
def test_the_sweeps_are_compared_with_the_account(played: Soak) -> None:
    assert played.sweeps == 2, "the first one, and that of the night"


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.name)
def test_each_figure_that_grows_each_day_is_found(bound: Bound) -> None:
    flat = Sample(
        **{field.name: 1_000_000 for field in fields(Sample) if field.name != "day"}, day=0
    )
    days = [replace(flat, day=float(day)) for day in range(30)]
    assert not findings(days)
    grown = "table_bytes" if bound.name == "bytes_per_row" else bound.name
    days = [replace(s, **{grown: getattr(s, grown) * (10 + s.day)}) for s in days]
    assert [line.split()[0] for line in findings(days)] == [bound.name]
    assert f"| {bound.title} |" in table(days)


@pytest.mark.long
def test_the_plot_shows_each_figure_with_a_bound(played: Soak, tmp_path: Path) -> None:
    draw(played.samples, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()
    drawn = {name for _, lines in PANELS for _, name, _ in lines}
    assert {bound.name for bound in BOUNDS} - drawn == {"file_bytes"}
