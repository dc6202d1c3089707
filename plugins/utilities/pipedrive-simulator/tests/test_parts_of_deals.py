"""Parts of deals: their lists, counters and edits."""

from __future__ import annotations

from typing import Any

import pytest
from pipedrive_simulator.account.state import EditError
from simulator_helpers import Caller, make_account, make_caller

DEALS = "/api/v2/deals"
COUNTERS = "participants_count,followers_count,files_count,email_messages_count,notes_count"


def counts(caller: Caller, deal_id: int) -> dict[str, Any]:
    return caller.get(f"{DEALS}/{deal_id}", include_fields=COUNTERS)["data"]


@pytest.mark.parametrize("kind", ["generated", "endless"])
def test_counters_equal_the_lengths_of_the_lists(kind: str) -> None:
    caller = make_caller(make_account(deals=120, kind=kind))
    files: dict[int, int] = {}
    for start in range(0, 1000, 100):
        for file in caller.get("/v1/files", limit=100, start=start)["data"] or ():
            files[file["deal_id"]] = files.get(file["deal_id"], 0) + 1
    everything = caller.all(DEALS, status="open,won,lost", include_fields=COUNTERS, limit=500)
    for deal in everything:
        persons = caller.get(f"/v1/deals/{deal['id']}/participants")["data"] or []
        followers = caller.all(f"{DEALS}/{deal['id']}/followers")
        assert deal["participants_count"] == len(persons)
        assert deal["followers_count"] == len(followers)
        assert deal["files_count"] == files.get(deal["id"], 0)
        if deal["person_id"] is not None:
            assert persons[0]["person_id"]["value"] == deal["person_id"]
    if kind == "generated":
        for name in COUNTERS.split(","):
            assert sum(deal[name] for deal in everything) > 0, name


def test_ids_of_participants_are_unique(big: Caller) -> None:
    account = big.account
    seen = [
        row["id"]
        for deal in account.deals.records.values() if not account.is_purged("deal", deal.id)
        for row in big.get(f"/v1/deals/{deal.id}/participants")["data"] or ()
    ]  # fmt: skip
    assert len(seen) == len(set(seen)) > len(account.participants)


def test_missing_deals_have_no_parts(caller: Caller) -> None:
    deal = caller.account.create_deal("some")
    caller.account.delete_deal(deal.id)
    caller.account.advance_clock(31 * 86_400)
    for number in (deal.id, 99_999):
        for path in (f"{DEALS}/{number}/discounts", f"{DEALS}/{number}/followers",
                     f"/v1/deals/{number}/participants"):  # fmt: skip
            assert caller.reply(path).status == 404


def test_edits_of_parts_change_counters_and_lists(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("com partes", person_id=1)
    account.advance_clock(60)
    before = account.clock.text()
    account.follow_deal(deal.id, 2)
    file = account.attach_file(deal.id, "contrato.pdf")
    assert deal.update_time is not None
    assert deal.update_time < before
    row = account.add_participant(deal.id, 2)
    account.add_discount(deal.id, 10, description="Fidelidade")
    assert deal.update_time == before
    data = counts(caller, deal.id)
    assert [data[f"{n}_count"] for n in ("participants", "followers", "files")] == [2, 1, 1]
    (discount,) = caller.get(f"{DEALS}/{deal.id}/discounts")["data"]
    assert (discount["type"], discount["amount"]) == ("percentage", 10)
    assert caller.get(f"{DEALS}/{deal.id}/followers")["data"][0]["user_id"] == 2
    for edit in (
        lambda: account.follow_deal(deal.id, 2), lambda: account.add_participant(deal.id, 1),
        lambda: account.add_participant(deal.id, 9_999), lambda: account.delete_file(9_999),
        lambda: account.add_discount(deal.id, 1, "gift"), lambda: account.unfollow_deal(1, 99),
        lambda: account.remove_participant(9_998),
    ):  # fmt: skip
        with pytest.raises(EditError):
            edit()
    account.unfollow_deal(deal.id, 2)
    account.remove_participant(row.id)
    account.delete_file(file.id)
    data = counts(caller, deal.id)
    assert [data[f"{n}_count"] for n in ("participants", "followers", "files")] == [1, 0, 0]


def test_a_merged_deals_parts_move_to_the_other_deal(caller: Caller) -> None:
    account = caller.account
    loser, survivor = account.create_deal("a"), account.create_deal("b")
    for deal in (loser, survivor):
        account.follow_deal(deal.id, 2)
    account.follow_deal(loser.id, 3)
    account.attach_file(loser.id, "a.pdf")
    account.add_participant(loser.id, 5)
    account.merge_deals(loser.id, survivor.id)
    account.merge_persons(5, into=6)
    data = counts(caller, survivor.id)
    assert [data[f"{n}_count"] for n in ("participants", "followers", "files")] == [1, 2, 1]
    (row,) = caller.get(f"/v1/deals/{survivor.id}/participants")["data"]
    assert row["person_id"]["value"] == 6
    person = caller.get("/api/v2/persons/6", include_fields="participant_open_deals_count")
    assert person["data"]["participant_open_deals_count"] >= 1


def test_mail_is_listed_by_folder_and_thread(big: Caller) -> None:
    path = "/v1/mailbox/mailThreads"
    assert big.reply(path).status == 400
    threads = {f: big.get(path, folder=f)["data"] for f in ("inbox", "sent", "archive", "drafts")}
    for folder, found in threads.items():
        assert found
        for thread in found:
            assert folder in thread["folders"]
            messages = big.get(f"{path}/{thread['id']}/mailMessages")["data"]
            assert len(messages) == thread["message_count"]
            assert messages[-1]["message_time"] == thread["last_message_timestamp"]
    assert any("inbox" in thread["folders"] for thread in threads["sent"])
    assert big.reply(f"{path}/9999/mailMessages").status == 404
    thread = threads["archive"][0]
    data = big.get(
        f"{DEALS}/{thread['deal_id']}", include_fields="last_incoming_mail_time"
    )["data"]  # fmt: skip
    assert data["last_incoming_mail_time"][:19] >= thread["last_message_received_timestamp"][:19]


def test_files_are_sorted_and_at_most_a_hundred(big: Caller) -> None:
    assert big.reply("/v1/files", limit=101).status == 400
    found = big.get("/v1/files", sort="update_time DESC")["data"]
    times = [file["update_time"] for file in found]
    assert len(times) == 100
    assert times == sorted(times, reverse=True)
    of_deal = next(file for file in found if file["deal_id"])
    assert of_deal["deal_name"] == big.account.deals.records[of_deal["deal_id"]].title


def test_call_logs_are_of_the_tokens_user_and_at_most_fifty(big: Caller) -> None:
    assert big.reply("/v1/callLogs", limit=51).status == 400
    calls = big.get("/v1/callLogs")["data"]
    assert {call["user_id"] for call in calls} == {1}
    assert len(big.account.call_logs) > len(calls)


def test_relationships_are_listed_for_both_organizations(big: Caller) -> None:
    rows = big.account.organization_relationships.records.values()
    row = next(row for row in rows if row.type == "parent")
    for org_id, other, kind in (
        (row.rel_owner_org_id, row.rel_linked_org_id, "daughter"),
        (row.rel_linked_org_id, row.rel_owner_org_id, "parent"),
    ):
        data = big.get("/v1/organizationRelationships", org_id=org_id)["data"]
        (found,) = [one for one in data if one["id"] == row.id]
        assert (found["calculated_type"], found["calculated_related_org_id"]) == (kind, other)
        assert found["rel_owner_org_id"]["value"] == row.rel_owner_org_id
    assert big.reply("/v1/organizationRelationships").status == 400
    assert big.get("/v1/organizationRelationships", org_id=99_999)["data"] is None


def test_a_contacts_history_does_not_change_its_update_time(big: Caller) -> None:
    for entity, table in (("person", "persons"), ("organization", "organizations")):
        rows = big.account.logs[entity]._rows
        assert rows
        number, (row, *_) = next(iter(rows.items()))
        (data,) = big.get(f"/v1/{table}/{number}/changelog")["data"]
        record = big.account.table(table).records[number]
        assert (data["field_key"], data["new_value"]) == ("user_id", str(record.owner_id))
        assert row.time == record.add_time <= record.update_time


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_a_small_account_has_records_in_every_list(seed: int) -> None:
    account = make_account(deals=25, seed=seed)
    assert [name for name, table in account.tables.items() if not len(table)] == []


def test_a_deal_created_by_an_unknown_user_has_participants_added_by_nobody(
    caller: Caller,
) -> None:
    deal = caller.account.create_deal("de fora", person_id=1, creator_user_id=999)
    (row,) = caller.get(f"/v1/deals/{deal.id}/participants")["data"]
    assert row["added_by_user_id"] is None


def test_mail_of_other_users_is_not_shown(caller: Caller) -> None:
    account, path = caller.account, "/v1/mailbox/mailThreads"
    (thread, *_) = caller.get(path, folder="inbox")["data"]
    me = account.me().id
    account.update_user(me, is_you=False)
    account.update_user(me + 1, is_you=True)
    assert caller.get(path, folder="inbox")["data"] is None
    assert caller.reply(f"{path}/{thread['id']}/mailMessages").status == 404
