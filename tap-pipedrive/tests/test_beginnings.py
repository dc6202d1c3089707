"""First pages that were asked for early change nothing but time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Output

from tap_pipedrive.api.prefetch import Beginning, Beginnings
from tap_pipedrive.api.responses import Page

Sync = Callable[..., Output]


def test_early_pages_change_nothing_but_time(simulator: Any, sync: Sync) -> None:
    # Windows bring pages in whatever order they come.
    one_by_one = sync(lists_ahead=1, page_size=50, windows=1)
    side_by_side = sync(lists_ahead=8, page_size=50, windows=1)
    assert one_by_one.records.keys() == side_by_side.records.keys()
    for stream, records in one_by_one.records.items():
        # Rows of statistics say when they were asked for.
        if all("as_of" not in record for record in records):
            assert side_by_side.records[stream] == records, stream


def test_first_pages_are_under_way_together() -> None:
    together = threading.Barrier(3, timeout=20)

    def pages(name: str) -> Iterator[Page]:
        together.wait()  # goes on only when three are here
        yield Page([{"id": name}])

    names = ["a", "b", "c"]
    walks = [Beginning(name, "GET", pages=lambda name=name: pages(name)) for name in names]
    first = Beginning("first", "GET", pages=lambda: iter([Page([])]))
    beginnings = Beginnings(3)
    beginnings.expect([first, *walks])
    assert len(list(beginnings.walk(first))) == 1, "its answer lets the others begin"
    found = [[page.records for page in beginnings.walk(walk)] for walk in walks]
    beginnings.close()
    assert found == [[[{"id": name}]] for name in names]


def test_an_empty_walk_and_one_that_fails_show_in_their_turn() -> None:
    def fails() -> Iterator[Page]:
        msg = "refused"
        raise ValueError(msg)
        yield

    empty = Beginning("a", "GET", pages=lambda: iter(()))
    failing = Beginning("b", "GET", pages=fails)
    beginnings = Beginnings(4)
    beginnings.expect([empty, failing])
    assert list(beginnings.walk(empty)) == []
    with pytest.raises(ValueError, match="refused"):
        list(beginnings.walk(failing))
    beginnings.close()


def test_what_changes_while_an_early_page_waits_comes_with_the_next_sync(
    simulator: Any, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Beginnings.walk
    person = min(record["id"] for record in simulator.truth("persons") if record["_listed"])

    def later(self: Beginnings, beginning: Beginning) -> Iterator[Page]:
        if beginning.stream == "persons":
            # Its first page lies there; what happens now it cannot know.
            for future in self._ahead._under_way.values():
                future.exception()
            simulator.account.advance_clock(3600)
            simulator.account.update_person(person, name="Changed meanwhile")
            simulator.account.advance_clock(3600)
        return walk(self, beginning)

    monkeypatch.setattr(Beginnings, "walk", later)
    first = sync()
    monkeypatch.setattr(Beginnings, "walk", walk)
    names = {record["id"]: record["name"] for record in first.records["persons"]}
    assert names[person] != "Changed meanwhile", "the page was early"
    second = sync(first.state)
    found = {record["id"]: record["name"] for record in second.records["persons"]}
    assert found.get(person) == "Changed meanwhile"
