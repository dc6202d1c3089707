"""Bookmarks are inclusive, and never ahead of the records sent or of the source's time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_pipedrive.state.bookmarks import Bookmark, check_state
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
