"""Prefetched first pages change no record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tap_runs import Output

from tap_pipedrive.api.prefetch import ListRequest, Prefetch
from tap_pipedrive.api.responses import Page

Sync = Callable[..., Output]


def test_prefetch_changes_no_record(simulator: Any, sync: Sync) -> None:
    # Windows bring pages in whatever order they come.
    one_by_one = sync(lists_ahead=1, page_size=50, windows=1)
    side_by_side = sync(lists_ahead=8, page_size=50, windows=1)
    assert one_by_one.records.keys() == side_by_side.records.keys()
    for stream, records in one_by_one.records.items():
        # Rows of statistics say when they were asked for.
        if all("as_of" not in record for record in records):
            assert side_by_side.records[stream] == records, stream


def test_first_pages_are_requested_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=20)

    def pages(name: str) -> Iterator[Page]:
        together.wait()  # goes on only when three are here
        yield Page([{"id": name}])

    names = ["a", "b", "c"]
    walks = [ListRequest(name, "GET", pages=lambda name=name: pages(name)) for name in names]
    first = ListRequest("first", "GET", pages=lambda: iter([Page([])]))
    prefetch = Prefetch(3)
    prefetch.expect([first, *walks])
    assert len(list(prefetch.pages(first))) == 1, "its answer lets the others begin"
    found = [[page.records for page in prefetch.pages(read)] for read in walks]
    prefetch.close()
    assert found == [[[{"id": name}]] for name in names]


def test_empty_and_failing_lists_show_in_order() -> None:
    def fails() -> Iterator[Page]:
        msg = "refused"
        raise ValueError(msg)
        yield

    empty = ListRequest("a", "GET", pages=lambda: iter(()))
    failing = ListRequest("b", "GET", pages=fails)
    prefetch = Prefetch(4)
    prefetch.expect([empty, failing])
    assert list(prefetch.pages(empty)) == []
    with pytest.raises(ValueError, match="refused"):
        list(prefetch.pages(failing))
    prefetch.close()


def test_a_change_behind_a_prefetched_page_is_read_by_the_next_sync(
    simulator: Any, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = Prefetch.pages
    person = min(record["id"] for record in simulator.truth("persons") if record["_listed"])

    def later(self: Prefetch, request: ListRequest) -> Iterator[Page]:
        if request.stream == "persons":
            # Its first page lies there; what happens now it cannot know.
            for future in self._prefetcher._running.values():
                future.exception()
            simulator.account.advance_clock(3600)
            simulator.account.update_person(person, name="Changed meanwhile")
            simulator.account.advance_clock(3600)
        return pages(self, request)

    monkeypatch.setattr(Prefetch, "pages", later)
    first = sync()
    monkeypatch.setattr(Prefetch, "pages", pages)
    names = {record["id"]: record["name"] for record in first.records["persons"]}
    assert names[person] != "Changed meanwhile", "the page was early"
    second = sync(first.state)
    found = {record["id"]: record["name"] for record in second.records["persons"]}
    assert found.get(person) == "Changed meanwhile"
