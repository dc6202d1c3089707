"""Windows read the same records as page by page, for few more calls."""

from __future__ import annotations

import itertools
import json
import logging
import math
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipedrive_simulator.account.table import Table
from tap_runs import PYTHON, Output, run_tap

from tap_pipedrive.api.responses import Page
from tap_pipedrive.errors import BudgetSpentError, CursorExpiredError, SourceUnavailableError
from tap_pipedrive.sync.windows import (
    Fetched,
    Listing,
    Window,
    Windows,
    gaps_between,
    join,
    most_calls,
)
from tap_pipedrive.times import to_text, to_time

Sync = Callable[..., Output]
LISTS = {"deals": "getDeals", "persons": "getPersons", "activities": "getActivities"}
ONLY = {*LISTS, "organizations", "deal_products"}


def by_id(*outputs: Output, stream: str) -> dict[int, dict[str, Any]]:
    return {r["id"]: r for output in outputs for r in output.records[stream]}


def windowed(simulator: Any, operation: str | None = None) -> int:
    """Count the calls with an end in time."""
    requested = simulator.control(
        "GET", "requests", **({"operation": operation} if operation else {})
    )
    return sum("updated_until" in call["query"] for call in requested)


def listed(simulator: Any, entity: str) -> dict[int, dict[str, Any]]:
    return {r["id"]: r for r in simulator.truth(entity) if r["_listed"]}


def check_all(simulator: Any, *outputs: Output) -> None:
    """Compare the stored records with the account."""
    for stream in ("deals", "persons", "organizations", "activities"):
        stored, truth = by_id(*outputs, stream=stream), listed(simulator, stream)
        assert {i: r["update_time"] for i, r in stored.items()} == {
            i: r["update_time"] for i, r in truth.items()
        }, stream


def test_windows_read_the_same_records_as_page_by_page(simulator: Any, sync: Sync) -> None:
    plain = sync(only=ONLY, windows=1, page_size=5)
    assert not windowed(simulator)
    pages = {op: n["calls"] for op, n in simulator.control("GET", "stats")["operations"].items()}
    simulator.control("POST", "stats/reset")
    wide = sync(only=ONLY, windows=6, page_size=5)
    for stream in ONLY:
        assert by_id(wide, stream=stream) == by_id(plain, stream=stream), stream
    spent = simulator.control("GET", "stats")["operations"]
    for stream, op in LISTS.items():
        assert windowed(simulator, op) > 6, stream
        assert spent[op]["calls"] <= most_calls(pages[op], 6), stream
    assert wide.state == plain.state, "nothing is left of them in the end"


def test_a_small_account_is_read_page_by_page(simulator: Any, sync: Sync) -> None:
    sync(only=ONLY)
    assert not windowed(simulator)


@pytest.mark.parametrize("end", ["first", "last"])
def test_windows_read_records_without_update_time(
    simulator: Any, sync: Sync, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    if end == "last":
        read_table = Table.read_page

        def timed_only(self: Any, requested: Any) -> Any:
            if requested.since is not None:
                keep = requested.keep
                requested = requested._replace(
                    keep=lambda r: r.update_time and (not keep or keep(r))
                )
            return read_table(self, requested)

        monkeypatch.setattr("pipedrive_simulator.account.table._NULL", "~")
        monkeypatch.setattr(Table, "read_page", timed_only)
    untimed = [simulator.account.create_deal(update_time=None).id for _ in range(8)]
    output = sync(page_size=5, windows=4)
    assert windowed(simulator, "getDeals")
    assert set(untimed) <= by_id(output, stream="deals").keys()
    marks = {m["deal_id"] for m in output.records["deal_changelog_sync"]}
    assert marks == by_id(output, stream="deals").keys()


def test_edits_during_windows_are_read(simulator: Any, sync: Sync) -> None:
    simulator.control("POST", "faults", {"kind": "edit_during_walk", "every": 3, "deals": 3})
    first = sync(only=ONLY, windows=5, page_size=5)
    assert windowed(simulator)
    simulator.control("DELETE", "faults")
    check_all(simulator, first, sync(first.state, only=ONLY, windows=5, page_size=5))


def test_deletions_and_archivings_during_windows_are_read(simulator: Any, sync: Sync) -> None:
    edits = [{"op": "archive_deal", "deal_id": d} for d in range(20, 40)]
    rule = {"kind": "edit_during_walk", "operation": "getDeals", "after": 15, "count": 1}
    simulator.control("POST", "faults", {**rule, "edits": edits})
    first = sync(only={"deals"}, windows=5, page_size=5)
    second = sync(first.state, only={"deals"}, windows=5, page_size=5)
    stored = by_id(first, second, stream="deals")
    for deal_id, deal in listed(simulator, "deals").items():
        assert stored[deal_id]["is_archived"] == deal["is_archived"]


@pytest.mark.parametrize("kind", ["expired_cursor", "429_burst", "500", "truncated_json", "reset"])
def test_a_fault_in_one_window_changes_no_record(
    simulator: Any,
    sync: Sync,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    monkeypatch.setattr("backoff._sync.time.sleep", lambda _: None)
    for operation in LISTS.values():
        rule = {"kind": kind, "operation": operation, "after": 8, "count": 2}
        simulator.control("POST", "faults", rule)
    check_all(simulator, sync(only=ONLY, windows=4, page_size=3))
    assert simulator.control("GET", "stats")["faults"][kind] == 2 * len(LISTS)
    if kind == "expired_cursor":
        assert "reading a time window again" in caplog.text


def test_the_next_run_completes_windows_after_a_spent_budget(
    simulator: Any, sync: Sync, tmp_path: Any
) -> None:
    settings: dict[str, Any] = {"only": {"activities"}, "windows": 4, "page_size": 5}
    pages = math.ceil(len(listed(simulator, "activities")) / 5)
    ledger = {"daily_tokens": pages * 10 // 2, "state_dir": str(tmp_path)}
    with pytest.raises(BudgetSpentError):
        sync(**settings, **ledger)
    first = run_tap.last  # type: ignore[attr-defined]
    assert first.state["bookmarks"]["activities"]["windows"], "spans beyond the bookmark"
    assert len(first.records["activities"]) >= 5 * (pages // 2 - 12), "what was paid is written"
    simulator.control("POST", "stats/reset")
    second = sync(first.state, **settings)
    merged = by_id(first, second, stream="activities")
    assert merged.keys() == listed(simulator, "activities").keys()
    again = simulator.control("GET", "stats")["calls"]
    assert again <= most_calls(pages - len(first.records["activities"]) // 5, 4) + 4
    assert second.state == sync(**{**settings, "windows": 1}).state


def test_windows_make_progress_in_every_interrupted_run(
    simulator: Any, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_pipedrive.api.client.MAX_TRIES", 1)
    monkeypatch.setattr("tap_pipedrive.api.client.OUTAGE_SECONDS", 0.0)
    outputs: list[Output] = []
    state: dict[str, Any] = {}
    for _ in range(30):
        rule = {"kind": "503", "operation": "getActivities", "after": 16, "count": 1}
        simulator.control("DELETE", "faults")
        simulator.control("POST", "faults", rule)
        try:
            outputs.append(sync(state, only={"activities"}, windows=5, page_size=5))
            break
        except SourceUnavailableError:
            outputs.append(run_tap.last)  # type: ignore[attr-defined]
            state = outputs[-1].state
            spans = state["bookmarks"]["activities"].get("windows") or []
            assert len(spans) <= 5, "no more than threads"
    assert 2 < len(outputs) < 30
    assert by_id(*outputs, stream="activities").keys() == listed(simulator, "activities").keys()


def test_windows_resume_after_kill_9(simulator: Any, sync: Sync, config: dict[str, Any]) -> None:
    settings = {"changelog_mode": "off", "page_size": 5, "windows": 4}
    process = subprocess.Popen(
        [PYTHON, "-m", "tap_pipedrive", "--config", "/dev/stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps({**config, **settings}).encode())
    process.stdin.close()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if b'"STATE"' in line and b'"windows":[[' in line and len(lines) > 300:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    before = Output.parse(b"".join(lines))
    assert not before.records["users"], "it was cut off midway"
    after = sync(before.state, **settings)
    check_all(simulator, before, after)
    # The first stream of the run: the only one that had begun.
    done, again = (by_id(output, stream="activities") for output in (before, after))
    assert len(done.keys() & again.keys()) < len(done) / 2, "it did not start over"


# -- the windows alone, over a list of our own -----------------------------------------------

START = "2020-01-01T00:00:00Z"


class AList:
    """Update times in order, a page at a time, with cursors that may expire."""

    def __init__(self, seconds: list[int], page: int, expires: set[int]) -> None:
        base = to_time(START).timestamp()
        times = (to_text(to_time(START).fromtimestamp(base + s).astimezone()) for s in seconds)
        self.records = [{"id": n, "update_time": t} for n, t in enumerate(sorted(times))]
        self.page, self.expires = page, expires
        self.calls = itertools.count(1)
        self.made = 0

    def ask(self, since: str, until: str) -> Iterator[Page]:
        found = [r for r in self.records if since <= r["update_time"] < until]
        for at in range(0, max(len(found), 1), self.page):
            self.made = next(self.calls)
            if at and self.made in self.expires:
                msg = "expired"
                raise CursorExpiredError(msg)
            yield Page(found[at : at + self.page])


crowds = st.lists(
    st.tuples(st.integers(0, 10**8), st.integers(1, 120), st.sampled_from([0, 1, 40, 10**5])),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(
    crowds,
    st.integers(1, 9),
    st.integers(1, 12),
    st.sets(st.integers(5, 60), max_size=3),
    st.sampled_from([None, 1, 10**4, 10**7]),
)
def test_windows_read_any_list_completely(
    crowds: list[tuple[int, int, int]], width: int, page: int, expires: set[int], pace: float | None
) -> None:
    """With any distribution of records, and pages in any order."""
    seconds = [at + n * apart for at, count, apart in crowds for n in range(count)]
    source = AList(seconds, page, expires)
    end = to_text(to_time("2026-01-01T00:00:00Z"))
    listing: Listing[list[Any]] = Listing([(START, end)], source.ask, list, pace=pace)
    got: list[int] = []
    with Windows([listing], width=width) as windows:
        for _, records in windows:
            got += [r["id"] for r in records]
            seen = set(got)
            missing = [r["update_time"] for r in source.records if r["id"] not in seen]
            for first, last in listing.written:
                assert not any(first <= time < last for time in missing), "noted too early"
    assert set(got) == {r["id"] for r in source.records}
    assert listing.written == [[START, end]]
    pages = math.ceil(len(source.records) / page) + 1
    if not expires:
        assert source.made <= most_calls(max(pages, 11), max(width, 2))


def test_a_failure_is_raised_after_the_other_threads_pages() -> None:
    source = AList(list(range(0, 10**6, 1000)), 10, set())

    def ask(since: str, until: str) -> Iterator[Page]:
        for page in source.ask(since, until):
            if source.made == 40:
                msg = "gone"
                raise SourceUnavailableError(msg)
            yield page

    end = "2021-01-01T00:00:00Z"
    first: Listing[list[Any]] = Listing([(START, end)], ask, list)
    got: list[int] = []
    with Windows([first], width=4) as windows, pytest.raises(SourceUnavailableError, match="gone"):
        for _, records in windows:
            got += [r["id"] for r in records]
    left = gaps_between(first.written, START, end)
    rest: Listing[list[Any]] = Listing(left, source.ask, list, read=first.written)
    with Windows([rest], width=4) as windows:
        got += [r["id"] for _, records in windows for r in records]
    assert set(got) == {r["id"] for r in source.records}
    assert rest.written == [[START, end]]
    assert len(got) < len(source.records) + 10 * 4 * 2


def test_lists_share_threads_and_have_their_own_progress() -> None:
    sources = [AList(list(range(0, 10**6, apart)), 10, set()) for apart in (500, 9000)]
    end = "2021-01-01T00:00:00Z"
    second_came = threading.Event()

    def ask(since: str, until: str) -> Iterator[Page]:
        for page in sources[0].ask(since, until):
            yield page
            # However threads are scheduled: the first list goes on when the second has begun.
            assert second_came.wait(20)

    listings = [Listing([(START, end)], way, list) for way in (ask, sources[1].ask)]
    got: dict[Any, set[int]] = {listing: set() for listing in listings}
    turns = []
    with Windows(listings, width=4) as windows:
        for listing, records in windows:
            turns.append(listings.index(listing))
            if turns[-1] == 1:
                second_came.set()
            got[listing] |= {r["id"] for r in records}
            for other, source in zip(listings, sources, strict=True):
                missing = [r["update_time"] for r in source.records if r["id"] not in got[other]]
                for first, last in other.written:
                    assert not any(first <= time < last for time in missing)
    for listing, source in zip(listings, sources, strict=True):
        assert got[listing] == {r["id"] for r in source.records}
        assert listing.written == [[START, end]]
    assert turns.index(1) < len(turns) / 2, "side by side"


def test_leaving_windows_early_ends_all_threads() -> None:
    source = AList(list(range(0, 10**6, 1000)), 10, set())
    listing: Listing[list[Any]] = Listing([(START, "2021-01-01T00:00:00Z")], source.ask, list)
    with Windows([listing], width=4) as windows:
        next(iter(windows))
    made = source.made
    assert windows._queue.empty() and source.made == made < 40


def test_leaving_windows_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_pipedrive.sync.windows.CLOSE_TIMEOUT_SECONDS", 0.01)
    begun, may_end = threading.Event(), threading.Event()

    def ask(since: str, until: str) -> Iterator[Page]:
        begun.set()
        assert may_end.wait(20)
        yield Page([])

    with Windows([Listing([(START, "2021-01-01T00:00:00Z")], ask, list)], width=1) as windows:
        assert begun.wait(20)
    assert windows._running_threads == 1, "its call has not ended"
    may_end.set()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8))
def test_spans_and_gaps_together_cover_everything(pairs: list[tuple[int, int]]) -> None:
    spans = [[chr(65 + a), chr(65 + b)] for a, b in pairs if a < b]
    inside = {m for a, b in spans for m in range(ord(a), ord(b))}
    joined = join(spans)
    assert {m for a, b in joined for m in range(ord(a), ord(b))} == inside
    assert all(a[1] < b[0] for a, b in itertools.pairwise(joined))
    gaps = gaps_between(spans, "C", "X")
    missing = {m for a, b in gaps for m in range(ord(a), ord(b))}
    assert missing == set(range(ord("C"), ord("X"))) - inside


@pytest.mark.parametrize(
    ("pages", "width", "most"), [(3, 9, 3), (100, 1, 100), (4, 2, 9), (9, 2, 14), (25, 6, 36)]
)
def test_the_most_calls_of_a_list_are_known_beforehand(pages: int, width: int, most: int) -> None:
    assert most_calls(pages, width) == most


def test_spans_that_touch_are_joined_and_gaps_end_at_their_end() -> None:
    assert join([["d", "e"], ["a", "b"], ["b", "c"], ["x", "x"]]) == [["a", "c"], ["d", "e"]]
    assert join([["a", "f"], ["b", "c"]]) == [["a", "f"]]
    assert gaps_between([["b", "c"], ["d", "f"]], "a", "e") == [("a", "b"), ("c", "d")]
    assert gaps_between([["a", "b"]], "a", "e") == [("b", "e")]
    assert gaps_between([["f", "g"]], "a", "e") == [("a", "e")]
    assert gaps_between([["a", "e"]], "a", "e") == []


def after(seconds: int) -> str:
    return to_text(to_time(START) + timedelta(seconds=seconds))


def a_listing(*gaps: tuple[int, int], pages: Any = None, **given: Any) -> Listing[list[Any]]:
    return Listing([(after(a), after(b)) for a, b in gaps], pages or (lambda *_: []), list, **given)


def a_window(pace: float | None = None) -> Window[list[Any]]:
    (window,) = a_listing((0, 1000), pace=pace).gaps
    return window


def test_the_pages_left_follow_from_the_pace_of_the_pages_read() -> None:
    window = a_window()
    assert window.pages_left(by_last_page=False) == 0.0, "nothing is known"
    window.fetch(after(100))
    assert window.pages_left(by_last_page=False) == window.pages_left(by_last_page=True) == 9
    window.fetch(after(120))
    assert window.pages_left(by_last_page=False) == pytest.approx(880 / 60)
    assert window.pages_left(by_last_page=True) == pytest.approx(880 / 20)
    window.fetch(after(120))
    assert window.pages_left(by_last_page=False) == pytest.approx(880 / 40)
    assert window.pages_left(by_last_page=True) == 880, "a second is the least"
    window.fetch(after(110))
    assert window.fetched == after(120)
    assert a_window(pace=50.0).pages_left(by_last_page=False) == 20
    assert a_window(pace=0.5).pages_left(by_last_page=True) == 1000


def test_a_window_is_halved_behind_its_last_page() -> None:
    window = a_window(pace=10.0)
    upper = window.split()
    assert upper is not None and upper.listing is window.listing
    assert (window.start, window.end) == (after(0), after(500))
    assert (upper.start, upper.end) == (after(500), after(1000))
    assert upper.fetched == upper.queued == upper.written == after(500)
    assert not window.is_halved
    assert upper.pages_left(by_last_page=True) == 50, "the estimate holds for both"
    window.fetch(after(101))
    upper = window.split()
    assert upper is not None and (upper.start, upper.end) == (after(300), after(500))
    assert window.is_halved
    assert upper.pages_left(by_last_page=True) == 0.0, "its own first page tells"
    window.fetch(after(200))
    assert not window.is_halved
    window.fetch(after(299))
    assert window.split() is None, "a second has no halves"
    assert window.pages_left(by_last_page=False) == 0.0
    assert window.end == after(300)


def reading(width: int, *paces: float | None) -> Windows[list[Any]]:
    """Windows of which each has 1000 s to read and another pace, none of them started."""
    windows = Windows([a_listing((0, 1000), pace=pace) for pace in paces], width=width)
    for _ in paces:
        windows._next()
    return windows


def halve(windows: Windows[list[Any]]) -> Window[list[Any]] | None:
    with windows._changed:
        return windows._split()


def test_an_idle_thread_halves_the_window_with_the_most_pages_left() -> None:
    windows = reading(4, 100.0, 10.0, 200.0)
    upper = halve(windows)
    assert upper is not None and upper.start == after(500)
    assert [window.end for window in windows._reading] == [after(1000), after(500), after(1000)]


@pytest.mark.parametrize(("pace", "is_split"), [(250.0, True), (250.5, False), (None, False)])
def test_a_window_of_few_pages_is_not_halved(pace: float | None, is_split: bool) -> None:
    assert (halve(reading(9, pace)) is not None) is is_split


def test_a_window_is_halved_again_only_after_its_next_page() -> None:
    windows = reading(9, 1.0)
    (window,) = windows._reading
    window.fetch(after(10))
    assert halve(windows) is not None
    assert halve(windows) is None
    window.fetch(after(20))
    assert halve(windows) is not None


def test_the_last_page_counts_while_half_of_the_threads_are_idle() -> None:
    for width, is_split in ((3, True), (2, False)):
        windows = reading(width, None)
        (window,) = windows._reading
        window.fetch(after(600))
        window.fetch(after(601))
        assert (halve(windows) is not None) is is_split


def test_calls_that_may_be_lost_are_bounded() -> None:
    windows = reading(2, 1.0, 1.0)
    assert halve(windows) is None, "two windows may lose a call each"
    windows._pages = 9
    assert halve(windows) is None
    windows._pages = 10
    windows._lost = 1.0
    assert halve(windows) is None
    windows._lost = 0.5
    assert halve(windows) is not None
    assert halve(Windows([], width=2)) is None


def test_a_thread_waits_for_a_window_until_none_is_read() -> None:
    windows = reading(2, None)
    (window,) = windows._reading
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(windows._next()), daemon=True)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive() and not found
    windows._read(window)
    thread.join(20)
    assert found == [None]
    windows._stop()
    windows._pending.append(window)
    assert windows._next() is None, "it was stopped"


def follow(
    pages: list[Page], end: int = 1000, before: Callable[[Windows[Any]], None] | None = None
) -> tuple[Windows[list[Any]], list[Fetched[list[Any]]]]:
    """Read the pages as one window, in this thread."""
    requested: list[tuple[str, str]] = []

    def ask(since: str, until: str) -> Iterator[Page]:
        requested.append((since, until))
        yield from pages

    windows = Windows([a_listing((0, 1000), pages=ask)], width=2)
    window = windows._next()
    assert window is not None
    window.end = after(end)
    if before:
        before(windows)
    windows._follow(window)
    assert requested == [(after(0), after(end))]
    found = [windows._queue.get_nowait() for _ in range(windows._queue.qsize())]
    assert all(isinstance(item, Fetched) and item.window is window for item in found)
    return windows, found  # type: ignore[return-value]


def a_page(*seconds: int | None) -> Page:
    times = [None if second is None else after(second) for second in seconds]
    return Page([{"id": n, "update_time": time} for n, time in enumerate(times)])


def test_a_chain_ends_at_the_end_of_its_window_even_if_that_was_moved() -> None:
    windows, found = follow([a_page(1, 2), a_page(3, None, 500, 501), a_page(600)], end=500)
    assert [item.result and [r["id"] for r in item.result] for item in found] == [
        [0, 1], [0, 1], None,
    ]  # fmt: skip
    assert [item.latest for item in found] == [after(2), after(3), None]
    assert (windows._pages, windows._full_page, windows._lost) == (2, 2, 0.0)
    (window,) = windows._reading
    assert (window.pages, window.queued) == (2, after(3))


def test_a_time_in_the_future_is_no_place_in_a_window() -> None:
    future = 10**6
    pages = [a_page(1, future), a_page(3, future, 501)]
    answered_at = to_time(after(600))
    windows, found = follow([replace(page, answered_at=answered_at) for page in pages], end=500)
    assert [item.result and [r["id"] for r in item.result] for item in found] == [
        [0, 1], [0, 1], None,
    ]  # fmt: skip
    assert [item.latest for item in found] == [after(1), after(3), None]
    assert windows._pages == 2


def test_a_chain_loses_the_part_of_its_last_page_that_is_empty() -> None:
    windows, _ = follow([a_page(1, 2, 3, 4), a_page(5)])
    assert windows._lost == 0.75
    windows, found = follow([a_page()])
    assert windows._lost == 1 and len(found) == 2
    windows, _ = follow([a_page(1, 2), a_page(3, 4, 5)])
    assert windows._lost == 0.0


def test_a_chain_that_is_stopped_does_not_end_its_window() -> None:
    windows, found = follow([a_page(1), a_page(2)], before=lambda windows: windows._stop())
    assert [item.latest for item in found] == [after(1)]
    assert windows._lost == 0


def test_progress_of_a_list_is_noted_by_window() -> None:
    listing = a_listing((10, 20), (30, 40), read=[[after(0), after(10)]])
    first, second = listing.gaps
    assert (listing.latest, listing.written) == (after(10), [[after(0), after(10)]])
    listing.note(second, after(33))
    listing.note(second, None)
    listing.note(first, after(12))
    listing.note(first, after(11))
    assert listing.latest == after(33)
    assert listing.written == [[after(0), after(12)], [after(30), after(33)]]
    listing.finish(first)
    assert listing.written == [[after(0), after(20)], [after(30), after(33)]]
    listing.finish(second)
    assert listing.written == [[after(0), after(20)], [after(30), after(40)]]
    assert a_listing((0, 1)).latest == ""


def test_an_expired_cursor_is_logged_with_the_place_where_the_window_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    requested = []

    def ask(since: str, until: str) -> Iterator[Page]:
        requested.append(since)
        yield a_page(5, 7)
        if len(requested) == 1:
            msg = "expired"
            raise CursorExpiredError(msg)

    with (
        caplog.at_level(logging.WARNING, "tap-pipedrive"),
        Windows([a_listing((0, 1000), pages=ask)], width=1) as windows,
    ):
        assert len([*windows]) == 2
    assert requested == [after(0), after(7)]
    assert [record.getMessage() for record in caplog.records] == [
        f"reading a time window again from {after(7)} (expired)"
    ]
    logger = logging.getLogger("another")
    assert Windows([], width=1, logger=logger)._logger is logger


def test_a_window_of_a_second_is_not_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_pipedrive.sync.windows.LEAST_PAGES", 0.5)
    windows = Windows([a_listing((0, 1), pace=1.0)], width=9)
    windows._next()
    assert halve(windows) is None
