"""One scan for a list and its child streams: who takes part, where it starts, who leaves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog
from pipedrive_simulator.testing import running_simulator
from tap_runs import Output

from tap_pipedrive.api.lenient_json import LenientRecord
from tap_pipedrive.api.responses import Page
from tap_pipedrive.errors import ShareSpentError, UnexpectedAnswerError
from tap_pipedrive.state.bookmarks import Bookmark
from tap_pipedrive.streams.outcomes import Outcome, StreamResult
from tap_pipedrive.sync import shared_scan
from tap_pipedrive.sync.shared_scan import (
    LongList,
    SharedScan,
    group_by_position,
    page_streams_of,
    per_record_of,
    spans_read,
    start_of,
    value_of,
)
from tap_pipedrive.sync.windows import Listing
from tap_pipedrive.tap import TapPipedrive
from tap_pipedrive.times import LOOKBACK, to_text, to_time

Sync = Callable[..., Output]
LOGS = {"deal_changelog", "deal_changelog_sync"}


@pytest.fixture
def simulator() -> Iterator[Any]:
    with running_simulator(deals=24, seed=7) as running:
        running.account.advance_clock(600)
        yield running


def calls(simulator: Any, operation: str) -> list[str]:
    return [call["query"] for call in simulator.control("GET", "requests", operation=operation)]


def ids(output: Output, stream: str, key: str = "id") -> set[Any]:
    return {row[key] for row in output.records[stream]}


def listed(simulator: Any) -> list[dict[str, Any]]:
    return [deal for deal in simulator.truth("deals") if deal["_listed"]]


# -- positions -----------------------------------------------------------------------------------


class AStream:
    def __init__(self, *, per_record: bool = False) -> None:
        self.costs_a_call_per_record = per_record


def a_bookmark(value: str | None = None, **state: Any) -> Bookmark:
    known = {"replication_key_value": value} if value else {}
    return Bookmark({**known, **state}, "update_time", None)


OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
BEFORE_OLD = "2025-12-31T23:58:00Z"


def test_a_scan_starts_at_the_oldest_bookmark() -> None:
    old, new, none = a_bookmark(OLD), a_bookmark(NEW), a_bookmark()
    first, second = AStream(), AStream(per_record=True)
    both: Any = {first: new, second: old}
    assert (start_of(both), value_of(both)) == (BEFORE_OLD, OLD)
    unread: Any = {first: new, second: none}
    assert (start_of(unread), value_of(unread)) == (None, "")
    assert (start_of({}), value_of({})) == (None, "")
    assert page_streams_of(both) == {first: new}
    assert per_record_of(both) == {second: old}
    spans = [[OLD, NEW]]
    windowed: Any = {first: a_bookmark(OLD, windows=spans), second: none}
    assert spans_read(windowed) == [spans, None]


def test_per_record_streams_that_are_behind_have_a_scan_of_their_own() -> None:
    page, late, on_time = AStream(), AStream(per_record=True), AStream(per_record=True)
    bookmarks: Any = {late: a_bookmark(OLD), page: a_bookmark(NEW), on_time: a_bookmark(NEW)}
    assert [[*group] for group in group_by_position(bookmarks)] == [[page, on_time], [late]]
    never_read: Any = {page: a_bookmark(NEW), late: a_bookmark()}
    assert [[*group] for group in group_by_position(never_read)] == [[page], [late]]
    together: Any = {page: a_bookmark(), on_time: a_bookmark(NEW)}
    assert group_by_position(together) == [together]
    alone: Any = {late: a_bookmark(OLD), on_time: a_bookmark(NEW)}
    assert group_by_position(alone) == [alone], "no stream would be in time"


def test_windows_end_a_lookback_before_the_first_page() -> None:
    long = LongList("v2 /deals", {}, {}, to_time(NEW), None)
    assert long.horizon == to_text(to_time(NEW) - LOOKBACK)


# -- runs ----------------------------------------------------------------------------------------


def test_the_lists_are_read_once_for_all_streams(simulator: Any, sync: Sync) -> None:
    output = sync(only={"deals", "deal_products", *LOGS}, page_size=500)
    assert len(calls(simulator, "getDeals")) == len(calls(simulator, "getArchivedDeals")) == 1
    deals = {deal["id"] for deal in listed(simulator)}
    assert ids(output, "deals") == ids(output, "deal_changelog_sync", "deal_id") == deals
    for stream in ("deals", "deal_products", *LOGS):
        for part in output.state["bookmarks"][stream]["partitions"]:
            assert part["first_walk_done"] is True
    state = output.state["bookmarks"]["deals"]["partitions"]
    by_list = {part["context"]["list"]: part for part in state}
    assert by_list.keys() == {"live", "archived"}
    # Only a list with an interval of its own says when it was read.
    assert by_list["archived"]["read_at"] == simulator.account.clock.text()
    assert "read_at" not in by_list["live"]


def test_a_scheduled_run_leaves_out_the_list_that_is_not_due(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    only = {"deals", "deal_products", "leads"}
    first = sync(only=only, scheduled=True)
    simulator.account.advance_clock(600)
    simulator.control("POST", "stats/reset")
    second = sync(first.state, only=only, scheduled=True)
    assert calls(simulator, "getDeals") and not calls(simulator, "getArchivedDeals")
    assert not calls(simulator, "getArchivedLeads")
    simulator.account.advance_clock(7200)
    simulator.control("POST", "stats/reset")
    sync(second.state, only=only, scheduled=True)
    assert len(calls(simulator, "getArchivedDeals")) == 1


def test_a_stream_that_was_selected_later_is_read_from_the_start(
    simulator: Any, sync: Sync
) -> None:
    first = sync(only={"deals"})
    simulator.control("POST", "stats/reset")
    both = sync(first.state, only={"deals", "deal_products", "deal_changelog_sync"})
    deals = {deal["id"] for deal in listed(simulator)}
    assert ids(both, "deal_changelog_sync", "deal_id") == deals
    whole = sync(only={"deals", "deal_products"})
    assert ids(both, "deal_products") == ids(whole, "deal_products") != set()
    # The new deals first, then the whole list once more for the stream behind.
    starts = [query for query in calls(simulator, "getDeals") if "updated_since" not in query]
    assert starts


def test_records_that_were_handled_cost_a_child_no_call_again(simulator: Any, sync: Sync) -> None:
    only = {"deals", "deal_products", *LOGS}
    product = next(iter(simulator.account.products.records))
    deal = next(d for d in listed(simulator) if d["status"] == "open" and not d["is_archived"])
    simulator.account.attach_product(deal["id"], product)
    simulator.account.advance_clock(60)
    first = sync(only=only)
    simulator.control("POST", "stats/reset")
    second = sync(first.state, only=only)
    assert deal["id"] in ids(second, "deals"), "it is inside the lookback"
    assert not calls(simulator, "getDealsProducts") and not calls(simulator, "getDealChangelog")


def test_per_record_streams_fall_behind_and_the_others_go_on(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    only = {"deals", "deal_products", "deal_followers", *LOGS}
    output = sync(only=only, daily_tokens=200, history_token_share=0.3)
    assert ids(output, "deals") == {deal["id"] for deal in listed(simulator)}
    (line,) = [text for text in caplog.messages if "are behind until the next run: " in text]
    assert line == (
        "['deal_followers', 'deal_changelog', 'deal_changelog_sync'] are behind until the next "
        "run: the share of histories (30% of this job's tokens of today) is used up"
    )
    marked = ids(output, "deal_changelog_sync", "deal_id")
    assert 0 < len(marked) < len(listed(simulator))
    rest = sync(output.state, only=only)
    assert marked | ids(rest, "deal_changelog_sync", "deal_id") == ids(output, "deals")


@pytest.mark.parametrize("operation", ["getDealChangelog", "getDealsProducts"])
def test_a_refused_child_starts_over_and_the_others_go_on(
    simulator: Any, sync: Sync, operation: str
) -> None:
    only = {"deals", "deal_products", *LOGS}
    rule = {"kind": "status", "status": 403, "operation": operation}
    simulator.control("POST", "faults", rule)
    first = sync(only=only)
    refused = LOGS if operation == "getDealChangelog" else {"deal_products"}
    bookmarks = first.state["bookmarks"]
    for stream in only:
        parts = bookmarks.get(stream, {}).get("partitions", [])
        done = [part.get("first_walk_done") for part in parts if part.get("first_walk_done")]
        assert bool(done) is (stream not in refused), stream
    simulator.control("DELETE", "faults")
    second = sync(first.state, only=only)
    whole = sync(only=only)
    for stream in refused:
        key = "deal_id" if stream == "deal_changelog_sync" else "id"
        assert ids(second, stream, key) == ids(whole, stream, key), stream


def test_a_long_list_is_read_in_windows_and_once_more_for_per_record_streams(
    simulator: Any, sync: Sync
) -> None:
    only = {"deals", "deal_products", *LOGS}
    plain = sync(only=only, windows=1, page_size=3)
    simulator.control("POST", "stats/reset")
    wide = sync(only=only, windows=4, page_size=3)
    queries = calls(simulator, "getDeals")
    assert sum("updated_until" in query for query in queries) > 2
    for stream in only:
        key = "deal_id" if stream == "deal_changelog_sync" else "id"
        assert ids(wide, stream, key) == ids(plain, stream, key), stream
    assert wide.state["bookmarks"]["deals"] == plain.state["bookmarks"]["deals"]
    assert "windows" not in str(wide.state)


def test_a_second_page_is_reason_enough_for_windows_if_another_list_needs_them(
    simulator: Any, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested: list[tuple[str, Any]] = []
    scan = shared_scan.SharedScan._scan_list

    def note(self: Any, key: str, *given: Any, **more: Any) -> Any:
        requested.append((key, more.get("cut_after")))
        return scan(self, key, *given, **more)

    monkeypatch.setattr(shared_scan.SharedScan, "_scan_list", note)
    sync(only={"deals"}, windows=4, page_size=4)
    assert requested[:2] == [("v2 /deals", shared_scan.PLAIN_PAGES), ("v2 /deals/archived", 1)]
    assert {cut for _, cut in requested[2:]} == {None}, "behind the windows, page by page"


def test_an_error_of_the_list_ends_every_stream_of_the_scan(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    rule = {"kind": "status", "status": 400, "operation": "getDeals"}
    simulator.control("POST", "faults", rule)
    with pytest.raises(Exception, match="400"):
        sync(only={"deals", "deal_products", "users"})
    for stream in ("deals", "deal_products"):
        assert f"{stream} is incomplete, the other streams continue" in caplog.text
    assert not calls(simulator, "getDealsProducts")


def test_an_error_of_a_list_leaves_the_result_of_a_stream_that_has_one(
    simulator: Any, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    for operation, status in (("getDealsProducts", 403), ("getArchivedDeals", 400)):
        rule = {"kind": "status", "status": status, "operation": operation}
        simulator.control("POST", "faults", rule)
    with pytest.raises(Exception, match="400"):
        sync(only={"deals", "deal_products"})
    assert "deal_products is not permitted" in caplog.text
    assert "deal_products is incomplete" not in caplog.text


def test_a_list_that_changed_a_moment_ago_is_read_page_by_page(simulator: Any, sync: Sync) -> None:
    for deal in listed(simulator):
        if not deal["is_archived"] and not deal["is_deleted"]:
            simulator.account.update_deal(deal["id"], value=1.0)
    for deal in listed(simulator):
        if deal["is_deleted"]:
            simulator.account.restore_deal(deal["id"])
    output = sync(only={"deals"}, windows=4, page_size=2)
    assert ids(output, "deals") == {deal["id"] for deal in listed(simulator)}
    assert not any("updated_until" in query for query in calls(simulator, "getDeals"))


@pytest.mark.parametrize(("status", "ends"), [(403, False), (401, True)])
def test_a_child_that_fails_in_windows_leaves_both_lists_to_the_others(
    simulator: Any, sync: Sync, status: int, ends: bool
) -> None:
    for deal in listed(simulator)[::2]:
        if not deal["is_archived"] and not deal["is_deleted"]:
            simulator.account.archive_deal(deal["id"])
    simulator.account.advance_clock(3600)
    product = next(iter(simulator.account.products.records))
    for deal in listed(simulator):
        if not deal["is_archived"] and not deal["is_deleted"]:
            simulator.account.attach_product(deal["id"], product)
    simulator.account.advance_clock(3600)
    rule = {"kind": "status", "status": status, "operation": "getDealsProducts", "after": 6}
    simulator.control("POST", "faults", rule)
    if ends:
        with pytest.raises(Exception, match="401"):
            sync(only={"deals", "deal_products"}, windows=3, page_size=2)
        return
    output = sync(only={"deals", "deal_products"}, windows=3, page_size=2)
    assert ids(output, "deals") == {deal["id"] for deal in listed(simulator)}
    for operation in ("getDeals", "getArchivedDeals"):
        assert any("updated_until" in query for query in calls(simulator, operation))


def test_a_stream_that_has_ended_gets_no_rows_from_windows(config: dict[str, Any]) -> None:
    products: Any = TapPipedrive(config=config).streams["deal_products"]
    products.result = StreamResult(Outcome.NOT_PERMITTED)
    assert SharedScan._rows([{"id": 1}], {products: a_bookmark()}) == {}
    scan: Any = products.scan
    scan._write_rows({products: [[{"id": 1, "deal_id": 1}]]}, {products: a_bookmark()})
    assert products.emitted == 0


# -- one step of a scan --------------------------------------------------------------------------

LIVE, ARCHIVED = "v2 /deals", "v2 /deals/archived"
TIMELY = "2026-01-15T00:00:00Z"


def streams_of(config: dict[str, Any], **settings: Any) -> tuple[Any, Any, Any]:
    """Return the scan of the deals, and two of its page streams."""
    streams: Any = TapPipedrive(config={**config, **settings}).streams
    return streams["deals"].scan, streams["deals"], streams["deal_products"]


@pytest.mark.parametrize(
    ("windows", "is_long", "key", "state", "expected"),
    [
        (2, True, LIVE, {}, True),
        (1, True, LIVE, {}, False),
        (2, False, LIVE, {}, False),
        (2, False, LIVE, {"windows": []}, True),
        (2, True, "v1 /leads", {}, False),
        (2, True, LIVE, {"first_walk_done": True}, False),
        (2, True, LIVE, {"replication_key_value": None}, False),
    ],
)
def test_windows_read_the_rest_of_a_long_first_scan(
    config: dict[str, Any], windows: int, is_long: bool, key: str, state: Any, expected: bool
) -> None:
    scan, deals, products = streams_of(config, windows=windows)
    bookmarks = {deals: a_bookmark(OLD, **state), products: a_bookmark(OLD, **state)}
    assert scan._may_be_cut(key, bookmarks, is_long) is expected


def test_no_windows_in_a_test_run_or_without_page_streams(config: dict[str, Any]) -> None:
    scan, deals, _ = streams_of(config, windows=2)
    assert scan._may_be_cut(LIVE, {}, is_long=True) is False
    deals.ABORT_AT_RECORD_COUNT = 1
    assert scan._may_be_cut(LIVE, {deals: a_bookmark(OLD)}, is_long=True) is False


def test_windows_leave_out_the_spans_that_all_streams_have_read(config: dict[str, Any]) -> None:
    scan, deals, products = streams_of(config)
    spans = [[TIMELY, NEW]]
    end = to_time(NEW) + 2 * LOOKBACK
    for others, gaps in (
        (spans, [(OLD, TIMELY), (NEW, to_text(end - LOOKBACK))]),
        (None, [(OLD, to_text(end - LOOKBACK))]),
    ):
        streams = {deals: a_bookmark(OLD, windows=spans), products: a_bookmark(OLD, windows=others)}
        listing = scan._listing(LongList(LIVE, streams, {}, end, 60.0))
        assert [(w.start, w.end) for w in listing.gaps] == gaps
        assert {w.average for w in listing.gaps} == {60.0}
        records = [{"id": 1, "update_time": OLD}]
        assert listing.prepare(records)[deals] == [records]


@pytest.mark.parametrize(("latest", "expected"), [(TIMELY, TIMELY), ("2026-03-01", NEW)])
def test_a_bookmark_stays_at_the_last_record_written(
    config: dict[str, Any], latest: str, expected: str
) -> None:
    scan, deals, products = streams_of(config)
    beyond = [["2026-02-02T00:00:00Z", "2026-02-03T00:00:00Z"]]
    listing: Any = Listing([], lambda *_: [], list, read=[["", NEW], *beyond])
    listing.latest = latest
    bookmarks = {products: a_bookmark(OLD), deals: a_bookmark(OLD)}
    products.result = StreamResult(Outcome.NOT_PERMITTED)
    scan._note(listing, bookmarks)
    assert (bookmarks[deals].value, bookmarks[deals].windows) == (expected, beyond)
    assert (bookmarks[products].value, bookmarks[products].windows) == (OLD, None)


def test_a_stream_that_has_ended_stops_no_other_in_windows(config: dict[str, Any]) -> None:
    scan, deals, products = streams_of(config)
    products.result = StreamResult(Outcome.NOT_PERMITTED)
    records, bookmarks = [{"id": 1}], {products: a_bookmark(), deals: a_bookmark()}
    assert SharedScan._rows(records, bookmarks) == {deals: [records]}
    deals._write_schema_message()
    scan._write_rows({products: [records], deals: [records]}, bookmarks)
    assert (products.emitted, deals.emitted) == (0, 1)


def test_a_stream_that_fails_leaves_the_windows(config: dict[str, Any]) -> None:
    scan, deals, products = streams_of(config)
    bookmarks = {products: a_bookmark(), deals: a_bookmark()}
    scan._scanned = [deals, products]
    scan._write_rows({products: UnexpectedAnswerError("400")}, bookmarks)
    assert [*bookmarks] == [deals]
    assert products.result.outcome is Outcome.INCOMPLETE


def test_a_stream_says_which_list_is_not_due(config: dict[str, Any]) -> None:
    scan, deals, _ = streams_of(config)
    noted: list[Any] = []
    deals.selected = True
    deals.note_not_due = lambda *given: noted.append(given)
    scan._known_bookmarks = lambda: [(ARCHIVED, {deals: a_bookmark(OLD, read_at=NEW)})]
    scan.note_not_due(deals)
    assert noted == [(ARCHIVED, "archived_interval", NEW)]


def test_records_without_a_time_reach_both_kinds_of_streams(config: dict[str, Any]) -> None:
    scan, deals, _ = streams_of(config)
    followers = deals._streams["deal_followers"]
    received: dict[str, list[Any]] = {"page": [], "record": []}
    deals.untimed_records = lambda key: iter([[], [{"id": 5}]] if key == LIVE else [])
    deals.on_page = lambda records, _: received["page"].append(records)
    followers.on_record = lambda record, _: received["record"].append(record)
    page, per_record = {deals: a_bookmark(OLD)}, {followers: a_bookmark(OLD)}
    scan._deliver_untimed(LongList(LIVE, page, per_record, to_time(NEW), None))
    assert received == {"page": [[{"id": 5}]], "record": [{"id": 5}]}


def test_a_test_run_scans_alone_and_any_other_run_once(config: dict[str, Any]) -> None:
    scan, deals, products = streams_of(config)
    scanned: list[Any] = []
    scan._scan = scanned.append
    for stream in scan._members:
        stream.selected = stream in (deals, products)
    scan.run(deals)
    scan.run(products)
    assert len(scanned) == 1 and set(scanned[0]) == {deals, products}
    products.ABORT_AT_RECORD_COUNT = 1
    scan.run(products)
    assert scanned[1:] == [[products]]


@pytest.mark.parametrize(
    ("state", "settings", "expected"),
    [({}, {}, 1), ({}, {"start_date": OLD}, 0), ({"windows": []}, {}, 0)],
)
def test_records_without_a_time_are_read_once_before_the_first_window(
    config: dict[str, Any], state: Any, settings: Any, expected: int
) -> None:
    """A start date leaves them out, and later windows follow a run that has read them."""
    scan, deals, _ = streams_of(config, **settings)
    read: list[str] = []
    deals.untimed_records = lambda key: read.append(key) or iter([])
    bookmark = a_bookmark(OLD, **state)
    scan._scan_windows([LongList(LIVE, {deals: bookmark}, {}, to_time(OLD), None)])
    assert len(read) == expected
    assert (bookmark.value, bookmark.windows) == (OLD, None), "there was no time for a window"


TIMES = ["2026-01-10T00:00:00Z", "2026-01-10T01:00:00Z", "2026-01-10T03:00:00Z"]


class Scripted:
    """Gives these pages, an hour of the source's time after each other from NEW on."""

    def __init__(self, *times: str, unreadable: bool = False, is_dated: bool = True) -> None:
        self.requests: list[Any] = []
        self.numbers: list[int] = []
        self._times, self._unreadable, self._is_dated = times, unreadable, is_dated

    def pages(self, request: Any) -> Iterator[Page]:
        self.requests.append(request)
        for number, time in enumerate(self._times, 1):
            more = {"next_cursor": "more" if number < len(self._times) else None}
            at = to_time(NEW) + (number - 1) * timedelta(hours=1)
            faulty = [LenientRecord(b"1", reason="is not an object")] if self._unreadable else []
            records = [{"id": number, "update_time": time}]
            yield Page(records, more, at if self._is_dated else None, faulty)
            self.numbers.append(structlog.contextvars.get_contextvars()["page"])

    def close(self, **_: Any) -> None:
        """Close nothing."""


def scanned_by(scan: Any, pages: Scripted, *streams: Any) -> None:
    """Let a scan read these pages; its streams emit nothing and call nothing."""
    scan._run.prefetch, scan._scanned = pages, [*streams]
    for stream in streams:
        stream.received = []
        stream.on_page = lambda records, known, s=stream: s.received.append((records, known))
        stream.on_record = lambda record, known, s=stream: s.received.append((record, known))
        stream.expect = lambda records, known, s=stream: s.received.append((records, known, "due"))


def test_a_long_list_says_from_where_and_how_densely_windows_read_it(
    config: dict[str, Any],
) -> None:
    scan, deals, _ = streams_of(config, windows=2)
    followers = deals._streams["deal_followers"]
    pages = Scripted(*TIMES)
    scanned_by(scan, pages, deals, followers)
    page, per_record = a_bookmark(OLD), a_bookmark(OLD)
    long = scan._scan_once(LIVE, {deals: page, followers: per_record}, 2)
    assert (long.key, long.page_streams, long.per_record_streams) == (
        LIVE, {deals: page}, {followers: per_record},
    )  # fmt: skip
    assert (long.signpost, long.pace) == (to_time(NEW), 3600.0)
    assert page.value == TIMES[1]
    (request,) = pages.requests
    assert (request.operation, request.since) == (LIVE, BEFORE_OLD)
    assert pages.numbers == [1]
    assert scan._scan_once(LIVE, {deals: a_bookmark(OLD)}, 1).pace is None, "of one page"


@pytest.mark.parametrize("cut_after", [None, 3])
def test_a_short_list_is_read_to_its_end(config: dict[str, Any], cut_after: int | None) -> None:
    scan, deals, products = streams_of(config, windows=2)
    scanned_by(scan, Scripted(*TIMES), deals, products)
    products.result = StreamResult(Outcome.NOT_PERMITTED)
    bookmark = a_bookmark(OLD)
    assert scan._scan_once(ARCHIVED, {deals: bookmark, products: a_bookmark()}, cut_after) is None
    assert (bookmark.value, bookmark.finished, bookmark.read_at) == (TIMES[2], True, NEW)
    assert [records[0]["id"] for records, _ in deals.received] == [1, 2, 3]
    assert products.received == [], "it has ended before"
    of_each_run = a_bookmark(OLD)
    scan._scan_once(LIVE, {deals: of_each_run}, None)
    assert (of_each_run.finished, of_each_run.read_at) == (True, None)


def test_a_list_that_ends_near_now_needs_no_windows(config: dict[str, Any]) -> None:
    scan, deals, _ = streams_of(config, windows=2)
    horizon = to_text(to_time(NEW) - LOOKBACK)
    scanned_by(scan, Scripted(horizon, horizon), deals)
    assert scan._scan_once(LIVE, {deals: a_bookmark(OLD)}, 1) is None


def test_a_scan_without_streams_reads_nothing(config: dict[str, Any]) -> None:
    scan, _, _ = streams_of(config)
    pages = Scripted(*TIMES)
    scanned_by(scan, pages)
    assert scan._scan_once(LIVE, {}, None) is None
    assert pages.requests == []


@pytest.mark.parametrize("unreadable", [True, False])
def test_deals_that_cannot_be_read_end_what_is_remembered_of_them(
    config: dict[str, Any], unreadable: bool
) -> None:
    scan, deals, products = streams_of(config)
    forgotten: list[bool] = []
    scan._run.seen_deals.forget = lambda: forgotten.append(True)
    for stream, remembers in ((deals, True), (products, False)):
        forgotten.clear()
        stream.remembers_deals = remembers
        scanned_by(scan, Scripted(TIMES[0], unreadable=unreadable), stream)
        scan._scan_once(LIVE, {stream: a_bookmark(OLD)}, None)
        assert forgotten == [True] * (unreadable and remembers)


def test_a_page_without_a_date_counts_from_the_latest_response(config: dict[str, Any]) -> None:
    scan, deals, _ = streams_of(config)
    scan._run.client._last_date = "Sat, 10 Jan 2026 00:30:00 GMT"
    scanned_by(scan, Scripted(*TIMES[:2], is_dated=False), deals)
    bookmark = a_bookmark(OLD)
    scan._scan_once(LIVE, {deals: bookmark}, None)
    assert bookmark.value == "2026-01-10T00:30:00Z", "not past the start of the read"


def test_a_per_record_stream_gets_what_it_does_not_know(config: dict[str, Any]) -> None:
    scan, deals, _ = streams_of(config)
    scan._run.client._last_date = "Sun, 01 Feb 2026 00:00:00 GMT"
    followers = deals._streams["deal_followers"]
    scanned_by(scan, Scripted(), followers)
    bookmark = a_bookmark(TIMES[1], after_id=2, first_walk_done=True)
    bookmark.begin()
    records = [
        {"id": 1, "update_time": TIMES[1]}, {"id": 2, "update_time": TIMES[1]},
        {"id": 3, "update_time": TIMES[1]}, {"id": 4, "update_time": TIMES[2]},
    ]  # fmt: skip
    scan._deliver_records(records, {followers: bookmark}, to_time(NEW), to_time(NEW))
    assert followers.received == [
        (records[2:], TIMES[1], "due"), (records[2], TIMES[1]), (records[3], TIMES[1]),
    ]  # fmt: skip
    assert (bookmark.value, bookmark._state["after_id"]) == (TIMES[2], 4)
    bookmark.finish()
    assert bookmark._newly_settled == {"3": TIMES[1], "4": TIMES[2]}
    followers.received.clear()
    scan._deliver_records(records, {followers: bookmark}, to_time(NEW), to_time(TIMES[1]))
    assert followers.received[0][0] == [records[2]], "what is known of older ones is not kept"


def test_per_record_streams_whose_tokens_are_spent_leave_the_scan(
    config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    scan, deals, _ = streams_of(config)
    followers = deals._streams["deal_followers"]
    scanned_by(scan, Scripted(), deals, followers)

    def spent(*_: object) -> None:
        msg = "the share of today is spent"
        raise ShareSpentError(msg)

    followers.expect = spent
    saved: list[bool] = []
    scan._run.seen_deals.save = lambda: saved.append(True)
    bookmarks = {deals: a_bookmark(OLD), followers: a_bookmark(OLD)}
    scan._deliver([{"id": 1, "update_time": TIMES[0]}], bookmarks, to_time(NEW))
    assert ([*bookmarks], bookmarks[deals].value) == ([deals], TIMES[0])
    assert followers.result.outcome is Outcome.BEHIND
    assert followers.result.reason == "the share of today is spent"
    expected = "['deal_followers'] are behind until the next run: the share of today is spent"
    assert expected in caplog.messages
    assert saved == [True] * deals.remembers_deals


def test_a_page_moves_bookmarks_and_children_know_its_records_afterwards(
    config: dict[str, Any],
) -> None:
    scan, deals, products = streams_of(config)
    scan._run.client._last_date = "Sun, 01 Feb 2026 00:00:00 GMT"
    scanned_by(scan, Scripted(), deals, products)
    parent, child = (a_bookmark(TIMES[0], first_walk_done=True) for _ in range(2))
    records = [{"id": 1, "update_time": TIMES[1]}, {"id": 2, "update_time": TIMES[2]}]
    late = to_time(TIMES[1]) + LOOKBACK
    scan._deliver(records, {deals: parent, products: child}, late, to_time(NEW))
    watermark = to_text(to_time(TIMES[0]) - LOOKBACK)
    assert deals.received == products.received == [(records, watermark)]
    assert parent.value == child.value == to_text(late), "not past the start of the read"
    assert (parent._newly_settled, child._newly_settled) == (
        {}, {"1": TIMES[1], "2": TIMES[2]},
    )  # fmt: skip
    child.finish()
    products.received.clear()
    scan._deliver(records, {products: child}, late, to_time(NEW))
    assert [r["id"] for r in products.received[0][0]] == []


@pytest.mark.parametrize("is_parent", [True, False])
def test_a_stream_that_cannot_go_on_leaves_the_page_to_the_others(
    config: dict[str, Any], is_parent: bool
) -> None:
    scan, deals, products = streams_of(config)
    scanned_by(scan, Scripted(), deals, products)

    def refused(*_: object) -> None:
        msg = "400"
        raise UnexpectedAnswerError(msg)

    (deals if is_parent else products).on_page = refused
    bookmarks = {products: a_bookmark(OLD), deals: a_bookmark(OLD)}
    page = [{"id": 1, "update_time": TIMES[0]}]
    if is_parent:
        with pytest.raises(UnexpectedAnswerError):
            scan._deliver(page, bookmarks, to_time(NEW))
        return
    scan._deliver(page, bookmarks, to_time(NEW))
    assert ([*bookmarks], bookmarks[deals].value) == ([deals], TIMES[0])
    assert products.result.outcome is Outcome.INCOMPLETE
