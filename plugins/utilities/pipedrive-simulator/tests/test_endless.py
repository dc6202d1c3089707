"""Deals computed from their ids: the same pages as in other accounts, also after edits."""

from __future__ import annotations

import resource
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_helpers import Caller, make_account, make_caller

DEALS = "/api/v2/deals"
COUNT = 2000


@pytest.fixture(scope="module")
def endless() -> Caller:
    account = make_account(kind="endless", deals=COUNT)
    account.advance(deals=150, hours=3)
    return make_caller(account)


def key(record: dict[str, Any], field: str) -> tuple[Any, int]:
    return (record[field] or "", record["id"])


@settings(max_examples=30, deadline=None)
@given(
    limit=st.integers(30, 500),
    field=st.sampled_from(["id", "update_time", "add_time"]),
    direction=st.sampled_from(["asc", "desc"]),
)
def test_pages_are_complete_and_ordered(
    endless: Caller, limit: int, field: str, direction: str
) -> None:
    order = {"limit": limit, "sort_by": field, "sort_direction": direction}
    everything = {"status": "open,won,lost,deleted"}
    live = endless.all(DEALS, **order, **everything)
    archived = endless.all(f"{DEALS}/archived", **order, **everything)
    for records in (live, archived):
        keys = [key(record, field) for record in records]
        assert keys == sorted(set(keys), reverse=direction == "desc")
    found = sorted(record["id"] for record in live + archived)
    assert found == list(range(1, len(endless.account.deals) + 1))


def test_windows_select_computed_and_edited_deals(endless: Caller) -> None:
    everything = endless.all(DEALS, limit=500)
    middle = everything[len(everything) // 2]["update_time"]
    for sort_by in ("id", "update_time", "add_time"):
        found = endless.all(DEALS, limit=77, sort_by=sort_by, updated_since=middle)
        assert {r["id"] for r in found} == {
            r["id"] for r in everything if r["update_time"] >= middle
        }


def test_a_million_deals_need_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    caller = make_caller(make_account(deals=1_000_000))
    pages = caller.walk(DEALS, limit=500, sort_by="update_time")
    seen = sum(len(page) for page, _ in zip(pages, range(40), strict=False))
    assert seen == 20_000
    last = caller.get(DEALS, limit=1, sort_by="id", sort_direction="desc")["data"][0]
    assert last["id"] == 999_999  # every fiftieth is archived
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kB


def test_windows_end_and_selections_hold_for_computed_deals(endless: Caller) -> None:
    everything = endless.all(DEALS, limit=500)
    middle = everything[len(everything) // 2]["update_time"]
    owner = everything[0]["owner_id"]
    expected = {r["id"] for r in everything if r["update_time"] < middle}
    chosen = {r["id"] for r in everything if r["owner_id"] == owner}
    assert expected and chosen < {r["id"] for r in everything}
    for sort_by in ("id", "update_time"):
        found = endless.all(DEALS, limit=77, sort_by=sort_by, updated_until=middle)
        assert {r["id"] for r in found} == expected
    assert {r["id"] for r in endless.all(DEALS, limit=77, owner_id=owner)} == chosen


def test_a_computed_deal_is_edited_again_and_again() -> None:
    account = make_account(kind="endless", deals=100)
    caller = make_caller(account)
    account.update_deal(7, value=1)
    account.update_deal(7, value=2)
    account.create_deal("longe", deal_id=105)
    assert caller.get(f"{DEALS}/7")["data"]["value"] == 2
    rows = caller.get(f"{DEALS.replace('/api/v2', '/v1')}/7/changelog")["data"]
    assert [row["new_value"] for row in rows if row["field_key"] == "value"] == ["2", "1"]
    assert [deal.id for deal in account.deals.all_records()] == [*range(1, 101), 105]
