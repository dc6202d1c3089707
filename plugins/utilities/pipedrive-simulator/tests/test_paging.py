"""Paging: each record exactly once and in order, also while the account changes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_helpers import Caller, make_account, make_caller

DEALS = "/api/v2/deals"
EVERY_STATUS = "open,won,lost,deleted"
sort_fields = st.sampled_from(["id", "update_time", "add_time"])
directions = st.sampled_from(["asc", "desc"])


def ordered(records: list[dict[str, Any]], field: str, direction: str) -> bool:
    keys = [
        (record[field] or "" if field != "id" else record["id"], record["id"]) for record in records
    ]
    return keys == sorted(keys, reverse=direction == "desc")


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(1, 500), field=sort_fields, direction=directions)
def test_pages_return_every_record_once_and_in_order(
    big: Caller, limit: int, field: str, direction: str
) -> None:
    limit = max(limit, 40)
    seen = big.all(DEALS, status=EVERY_STATUS, limit=limit, sort_by=field, sort_direction=direction)
    account = big.account
    expected = {
        d.id for d in account.deals.records.values()
        if not d.is_archived and not account.is_purged("deal", d.id)
    }  # fmt: skip
    found = [record["id"] for record in seen]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert ordered(seen, field, direction)


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["move", "win", "lose", "reopen", "value", "delete", "archive", "create"]),
        st.integers(1, 60),
        st.integers(0, 2),
    ),
    max_size=12,
)


def edit(caller: Caller, what: str, deal_id: int, seconds: int) -> None:
    account = caller.account
    account.clock.advance(seconds)
    deal = account.deals.get(deal_id)
    if what == "create":
        account.create_deal("novo")
        return
    if deal is None or deal.is_deleted or deal.is_archived:
        return
    {
        "move": lambda: account.move_deal(deal_id, deal_id % 14 + 1),
        "win": lambda: account.win_deal(deal_id),
        "lose": lambda: account.lose_deal(deal_id, "Preço"),
        "reopen": lambda: account.reopen_deal(deal_id),
        "value": lambda: account.update_deal(deal_id, value=deal_id * 10),
        "delete": lambda: account.delete_deal(deal_id),
        "archive": lambda: account.archive_deal(deal_id),
    }[what]()


@settings(max_examples=80, deadline=None)
@given(limit=st.integers(1, 30), batches=st.lists(EDITS, min_size=1, max_size=5))
def test_ascending_pages_miss_no_record_that_is_edited_meanwhile(
    limit: int, batches: list[list[tuple[str, int, int]]]
) -> None:
    caller = make_caller(make_account(deals=60))
    pending = iter(batches)
    latest: dict[int, dict[str, Any]] = {}
    before = ("", 0)
    for list_name in (DEALS, f"{DEALS}/archived"):
        before = ("", 0)
        for page in caller.walk(
            list_name, status=EVERY_STATUS, limit=limit, sort_by="update_time", sort_direction="asc"
        ):
            for record in page:
                here = (record["update_time"] or "", record["id"])
                assert here > before  # ascending over all pages, hence never twice the same state
                before = here
                latest[record["id"]] = record
            for what, deal_id, seconds in next(pending, []):
                edit(caller, what, deal_id, seconds)
    truth = {
        d.id: d for d in caller.account.deals.records.values()
        if not caller.account.is_purged("deal", d.id)
    }  # fmt: skip
    # The live list is read first, so deals archived meanwhile are in the second list. Only a deal
    # that was edited after its list was read may be outdated; no earlier deal may be missing.
    missing = {i for i in truth if i not in latest and i <= 60}
    assert missing == set()


def test_a_cursor_is_readable_and_names_the_next_record(big: Caller) -> None:
    body = big.get(DEALS, limit=3, sort_by="add_time")
    cursor = body["additional_data"]["next_cursor"]
    content = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    assert set(content) == {"field", "fieldValue", "sortDirection", "id"}
    following = big.get(DEALS, limit=1, cursor=cursor)["data"][0]
    assert (following["id"], following["add_time"]) == (content["id"], content["fieldValue"])


@pytest.mark.parametrize("cursor", ["", "x", "bm90IGpzb24", "e30", "%00", "🔥"])
def test_a_broken_cursor_is_refused(big: Caller, cursor: str) -> None:
    assert big.reply(DEALS, cursor=cursor).status == 400


def test_a_cursor_of_another_order_is_refused(big: Caller) -> None:
    cursor = big.get(DEALS, limit=3)["additional_data"]["next_cursor"]
    assert big.reply(DEALS, cursor=cursor, sort_by="update_time").status == 400


@pytest.mark.parametrize(("limit", "status"), [("0", 400), ("501", 400), ("x", 400), ("500", 200)])
def test_the_limit_of_a_page_is_checked(big: Caller, limit: str, status: int) -> None:
    assert big.reply(DEALS, limit=limit).status == status


def test_a_page_beyond_the_maximum_is_cut_when_lenient(big: Caller) -> None:
    lenient = make_caller(big.account, strict=False)
    assert len(lenient.get(DEALS, limit=1000)["data"]) == 500


def test_many_deals_share_an_update_second(big: Caller) -> None:
    seconds = [r["update_time"] for r in big.all(DEALS, limit=500)]
    assert max(seconds.count(second) for second in set(seconds)) >= 20


@pytest.mark.parametrize("path", ["/v1/leads", "/v1/notes", "/v1/leadFields", "/v1/roles"])
def test_offset_pages_add_up(big: Caller, path: str) -> None:
    start, seen = 0, []
    while True:
        body = big.get(path, start=start, limit=7)
        seen += body["data"] or []
        pagination = body["additional_data"]["pagination"]
        assert pagination["start"] == start
        if not pagination["more_items_in_collection"]:
            assert "next_start" not in pagination
            break
        start = pagination["next_start"]
    assert seen == big.get(path, limit=500)["data"]


def test_an_empty_v1_list_is_a_null() -> None:
    empty = make_caller(make_account(deals=0))
    assert empty.get("/v1/leads")["data"] is None


def test_changelog_pages_add_up_newest_first(big: Caller) -> None:
    busiest = max(big.account.deals.records, key=lambda i: len(big.account.logs["deal"].rows(i)))
    path = f"/api/v1/deals/{busiest}/changelog"
    whole = big.get(path, limit=500)["data"]
    times = [row["time"] for row in whole]
    assert times == sorted(times, reverse=True)
    assert len(whole) > 5
    assert [row for page in big.walk(path, limit=2) for row in page] == whole
    cursor = big.get(path, limit=2)["additional_data"]["next_cursor"]
    assert base64.b64decode(cursor + "=" * (-len(cursor) % 4)).startswith(b"id:")


def test_a_page_before_the_first_is_refused(big: Caller) -> None:
    assert big.reply("/v1/leads", start=-1).status == 400


def test_a_cursor_of_another_list_is_refused(big: Caller) -> None:
    content = {"field": "id", "fieldValue": "a", "sortDirection": "asc", "id": "a"}
    cursor = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    assert big.reply("/api/v2/dealFields", cursor=cursor).status == 400
    for rows in (b"id:x", b"number:1"):
        cursor = base64.b64encode(rows).decode()
        assert big.reply("/v1/deals/1/changelog", cursor=cursor).status == 400
