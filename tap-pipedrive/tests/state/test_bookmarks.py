"""Bookmarks are inclusive, and never ahead of the records sent or of the source's time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_pipedrive.api.lenient_json import SetAsideValues
from tap_pipedrive.state.bookmarks import MOST_SETTLED, Bookmark, check_state, version_of
from tap_pipedrive.times import LOOKBACK, to_text, to_time

moments = st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1), timezones=st.just(timezone.utc))


@given(moments)
def test_updated_since_has_whole_seconds_in_utc(moment: datetime) -> None:
    text = to_text(moment)
    assert text.endswith("Z") and "." not in text
    assert moment - timedelta(seconds=1) < to_time(text) <= moment


@given(st.lists(st.lists(st.none() | moments, max_size=5), max_size=6), moments)
def test_a_bookmark_is_the_latest_emitted_but_not_past_the_signpost(
    read: list[list[datetime | None]], signpost: datetime
) -> None:
    state: dict[str, str] = {}
    bookmark = Bookmark(state, "update_time", None)
    for page in read:
        bookmark.advance([m and to_text(m) for m in page], signpost)
    emitted = [to_text(m) for page in read for m in page if m]
    expected = min(max(emitted), to_text(signpost)) if emitted else None
    assert bookmark.value == expected
    if expected:
        assert bookmark.since == to_text(to_time(expected) - LOOKBACK)


@given(moments, moments)
def test_start_date_bounds_the_read_but_not_the_bookmark(start: datetime, seen: datetime) -> None:
    bookmark = Bookmark({}, "update_time", start.isoformat())
    assert bookmark.since == to_text(start)
    assert bookmark.value is None
    bookmark.advance([to_text(seen)], seen)
    assert bookmark.since == max(to_text(start), to_text(to_time(to_text(seen)) - LOOKBACK))


def test_all_is_known_through_the_start_of_a_read_until_it_ends() -> None:
    state: dict[str, Any] = {}
    bookmark = Bookmark(state, "update_time", None)
    bookmark.begin()
    assert bookmark.complete_through is None, "a first read"
    bookmark.finish()
    assert bookmark.complete_through == "", "the list was empty"
    for last in ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"):
        bookmark.begin()
        before = bookmark.complete_through
        bookmark.advance([last], to_time("2026-02-01"))
        assert bookmark.complete_through == before
        resumed = Bookmark(state, "update_time", None)
        resumed.begin()
        assert resumed.complete_through == before, "a run that was interrupted"
        bookmark.finish()
        assert bookmark.complete_through == bookmark.since
    check_state({"bookmarks": {"deals": state}})


def test_an_interrupted_first_read_is_not_finished() -> None:
    state: dict[str, str] = {}
    Bookmark(state, "update_time", None).advance(["2026-01-01T00:00:00Z"], to_time("2026-02-01"))
    resumed = Bookmark(state, "update_time", None)
    assert resumed.value and not resumed.finished
    resumed.finish()
    assert Bookmark(state, "update_time", None).finished


@pytest.mark.parametrize(
    ("bookmarks", "says"),
    [
        (None, "bookmarks"),
        ([], "bookmarks"),
        ({"deals": None}, "deals"),
        ({"deals": {"partitions": None}}, "partitions of deals"),
        ({"deals": {"partitions": [5]}}, "a list of deals"),
        ({"deals": {"partitions": [{"settled": []}]}}, "settled of a list of deals"),
        ({"persons": {"replication_key_value": "soon"}}, "not a time"),
        ({"persons": {"read_at": "soon"}}, "read_at of persons is not a time"),
        ({"persons": {"complete_through": "soon"}}, "complete_through of persons is not a time"),
        ({"persons": {"replication_key_value": 5}}, "replication_key_value of persons"),
        ({"persons": {"replication_key_value": "0001-01-01T00:00:00Z"}}, "not a time"),
        ({"deal_changelog": {"memory": "x"}}, "memory"),
        ({"deal_changelog": {"after_id": "x"}}, "after_id"),
    ],
)
def test_a_state_of_another_shape_is_refused(bookmarks: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_state({"bookmarks": bookmarks})


def test_a_state_of_a_real_run_is_accepted(sync: Any) -> None:
    check_state(sync(only={"deals", "deal_changelog", "users"}).state)
    check_state({})


# -- the exact position, and what is settled: the source's time is noon --------------------------

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def before_noon(seconds: float) -> str:
    return to_text(NOON - timedelta(seconds=seconds))


def finished(**state: Any) -> tuple[dict[str, Any], Bookmark]:
    state |= {"first_walk_done": True}
    return state, Bookmark(state, "update_time", None)


def test_a_record_that_is_old_enough_is_an_exact_position() -> None:
    state: dict[str, Any] = {}
    bookmark = Bookmark(state, "update_time", None)
    assert not bookmark.covers(before_noon(120), 1)
    bookmark.reach(before_noon(120), 7, NOON)
    assert (bookmark.value, state["after_id"]) == (before_noon(120), 7)
    bookmark.reach(before_noon(120), 9, NOON)
    assert state["after_id"] == 9, "a later record of the same second"
    resumed = Bookmark(state, "update_time", None)
    assert resumed.since == before_noon(120)
    assert resumed.covers(before_noon(120), 9)
    assert resumed.covers(before_noon(121), 10)
    assert not resumed.covers(before_noon(120), 10)
    assert not resumed.covers(before_noon(119), 1)
    assert not resumed.covers(None, 1)


def test_a_record_within_the_lookback_is_no_exact_position() -> None:
    state: dict[str, Any] = {}
    bookmark = Bookmark(state, "update_time", None)
    bookmark.reach(before_noon(120), 7, NOON)
    bookmark.reach(before_noon(119), 8, NOON)
    assert state == {"replication_key": "update_time", "replication_key_value": before_noon(119)}
    bookmark.reach(before_noon(-5), 9, NOON)
    assert bookmark.value == before_noon(0), "not past the start of the read"


@pytest.mark.parametrize(
    ("update_time", "now"),
    [
        (None, None),
        (before_noon(400), None),
        ("1969-12-31T23:59:59Z", None),
        (before_noon(-121), NOON),
    ],
)
def test_a_record_out_of_order_moves_no_bookmark(
    update_time: str | None, now: datetime | None
) -> None:
    state: dict[str, Any] = {}
    bookmark = Bookmark(state, "update_time", None)
    bookmark.reach(before_noon(300), 7, NOON)
    before = dict(state)
    bookmark.reach(update_time, 8, NOON, now)
    assert state == before


def test_the_end_of_a_read_forgets_where_it_was_and_a_rewind_all_of_it() -> None:
    state, bookmark = finished(after_id=3, replication_key_value=before_noon(900))
    before = dict(state)
    bookmark.begin()
    assert state["complete_through"] == before_noon(900)
    bookmark.cover(before_noon(600), [["a", "b"]])
    assert bookmark.windows == [["a", "b"]]
    bookmark.finish(NOON)
    assert state == {
        "first_walk_done": True, "replication_key": "update_time", "read_at": before_noon(0),
        "replication_key_value": before_noon(600),
    }  # fmt: skip
    assert bookmark.read_at == before_noon(0)
    bookmark.cover(before_noon(500), None)
    assert bookmark.windows is None
    assert "windows" not in state
    bookmark.rewind()
    assert state == before


def test_the_version_of_a_record_is_its_time_or_a_digest_of_it() -> None:
    assert version_of({"update_time": "2026-01-01 12:00:00"}) == before_noon(0)

    def odd(value: Any, stage: int = 1) -> str | None:
        aside = SetAsideValues(update_time=value)
        return version_of({"update_time": None, "stage_id": stage, "_extra": aside})

    versions = [odd("yesterday"), odd(7), odd({}), odd("yesterday", stage=2)]
    assert all(versions) and len(set(versions)) == 4, "another value, or another record"
    assert versions[0] == odd("yesterday")
    assert version_of({}) is None
    assert version_of({"_extra": {"update_time": "yesterday"}}) is None, "the source's own value"


def test_a_record_is_settled_in_the_version_that_was_handled() -> None:
    state, bookmark = finished(replication_key_value=before_noon(0))
    handled = {"id": 1, "update_time": before_noon(1)}
    in_this_second = {"id": 2, "update_time": before_noon(0)}
    odd = {"id": 3, "_extra": SetAsideValues(update_time="yesterday")}
    bookmark.settle([handled, in_this_second, odd, {"id": 4}], NOON)
    assert not bookmark.is_settled(handled), "by this read, not by an earlier one"
    bookmark.finish()
    assert state["settled"] == {"1": before_noon(1), "3": version_of(odd)}
    resumed = Bookmark(state, "update_time", None)
    assert resumed.is_settled(handled)
    assert resumed.is_settled(odd)
    for other in ({**handled, "update_time": before_noon(0)}, {**handled, "id": 5}, {"id": 1}):
        assert not resumed.is_settled(other)
    resumed.finish()
    assert state["settled"] == {"1": before_noon(1), "3": version_of(odd)}, "both came again"
    Bookmark(state, "update_time", None).finish()
    assert state["settled"] == {"1": before_noon(1)}, "the odd one did not come again"
    del state["first_walk_done"]
    assert not Bookmark(state, "update_time", None).is_settled(handled)


def test_the_settled_records_are_the_latest_few_inside_the_lookback() -> None:
    state, bookmark = finished(replication_key_value=before_noon(0))
    many = [{"id": n, "update_time": before_noon(121 - n)} for n in range(121)]
    bookmark.settle(many, NOON)
    bookmark.finish()
    assert len(state["settled"]) == MOST_SETTLED == 100
    assert set(state["settled"]) == {str(n) for n in range(21, 121)}
    state, bookmark = finished(replication_key_value=before_noon(0), settled={})
    bookmark.settle([{"id": 1, "update_time": before_noon(121)}], NOON)
    bookmark.finish()
    assert state["settled"] == {}, "older than the lookback"
    bookmark.settle([{"id": n, "update_time": before_noon(1)} for n in range(1001)], NOON)
    assert len(bookmark._newly_settled) == MOST_SETTLED, "also in memory"
