"""Edits update history, references and definitions; edits that a real account refuses fail."""

from __future__ import annotations

import pytest
from pipedrive_simulator.account.state import EditError
from simulator_helpers import Caller

DEALS = "/api/v2/deals"


def test_merging_deals_deletes_one_and_updates_the_other(caller: Caller) -> None:
    account = caller.account
    loser, survivor = account.create_deal("perde"), account.create_deal("fica")
    line = account.attach_product(loser.id, 1)
    call = account.create_activity("ligar", deal_id=loser.id)
    account.clock.advance(60)
    account.merge_deals(loser.id, into=survivor.id)
    assert (line.deal_id, call.deal_id) == (survivor.id, survivor.id)
    assert loser.is_deleted
    assert survivor.update_time == account.clock.text()
    assert account.merged["deal"] == {loser.id: survivor.id}
    with pytest.raises(EditError, match="cannot be restored"):
        account.restore_deal(loser.id)
    with pytest.raises(EditError, match="into itself"):
        account.merge_deals(survivor.id, into=survivor.id)


def test_a_merged_persons_deals_move_to_the_other_person(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("com contato", person_id=1)
    account.clock.advance(60)
    account.merge_persons(1, into=2)
    assert (deal.person_id, deal.update_time) == (2, account.clock.text())
    row = caller.get(f"/v1/deals/{deal.id}/changelog")["data"][0]
    assert (row["field_key"], row["old_value"], row["new_value"]) == ("person_id", "1", "2")
    assert caller.get("/api/v2/persons", ids="1")["data"] == []


def test_a_merged_organizations_persons_move_to_the_other(caller: Caller) -> None:
    account = caller.account
    person = account.create_person("Fulana", org_id=1)
    account.merge_organizations(1, into=2)
    assert person.org_id == 2


@pytest.mark.parametrize("change", ["archive_deal", "delete_deal"])
def test_archived_and_deleted_deals_are_not_editable(caller: Caller, change: str) -> None:
    account = caller.account
    deal = account.create_deal("fechado a edições")
    account.apply(change, deal_id=deal.id)
    with pytest.raises(EditError, match="not editable"):
        account.move_deal(deal.id, 2)


def test_a_product_line_counts_as_an_update_of_its_deal(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("com produto")
    account.clock.advance(60)
    line = account.attach_product(deal.id, 1, quantity=3)
    assert deal.update_time == account.clock.text()
    (record,) = caller.get(f"{DEALS}/products", deal_ids=deal.id)["data"]
    assert record["sum"] == 3 * record["item_price"]
    account.delete_product(1)
    (record,) = caller.get(f"{DEALS}/products", deal_ids=deal.id)["data"]
    assert record["product_id"] is None
    account.detach_product(line.id)
    assert caller.get(f"{DEALS}/products", deal_ids=deal.id)["data"] == []


def test_an_activity_can_change_its_deal(caller: Caller) -> None:
    account = caller.account
    first, second = account.create_deal("um"), account.create_deal("dois")
    activity = account.create_activity("ligar", deal_id=first.id)
    account.update_activity(activity.id, deal_id=second.id, done=True)
    count = {"include_fields": "done_activities_count"}
    assert caller.get(f"{DEALS}/{first.id}", **count)["data"]["done_activities_count"] == 0
    assert caller.get(f"{DEALS}/{second.id}", **count)["data"]["done_activities_count"] == 1
    account.delete_activity(activity.id)
    assert caller.get(f"{DEALS}/{second.id}", **count)["data"]["done_activities_count"] == 0


def test_fields_and_options_change_without_touching_records(caller: Caller) -> None:
    account = caller.account
    before = [d.update_time for d in account.deals.records.values()]
    field = account.add_field("deal", "Nova escolha", "enum", ["um", "dois"])
    deal = account.create_deal("escolheu", custom_fields={"Nova escolha": 1})
    assert caller.get(f"{DEALS}/{deal.id}")["data"]["custom_fields"][field.code] == 1
    added = account.add_option("deal", field.code, "três")
    account.rename_option("deal", field.code, int(added.id), "3")
    account.remove_option("deal", field.code, int((field.options or [])[0].id))
    account.rename_field("deal", field.code, "Escolha")
    definition = caller.get(f"/api/v2/dealFields/{field.code}")["data"]
    assert definition["field_name"] == "Escolha"
    assert [option["label"] for option in definition["options"]] == ["dois", "3"]
    account.remove_field("deal", field.code)
    assert field.code not in caller.get(f"{DEALS}/{deal.id}")["data"]["custom_fields"]
    assert caller.reply(f"/api/v2/dealFields/{field.code}").status == 404
    assert [d.update_time for d in account.deals.records.values()][: len(before)] == before


def test_stages_and_pipelines_can_be_defined(caller: Caller) -> None:
    account = caller.account
    pipeline = account.create_pipeline("Pós-venda")
    stage = account.create_stage("Boas-vindas", pipeline.id)
    deal = account.create_deal("cliente novo", stage_id=1)
    account.move_deal(deal.id, stage.id)
    assert deal.pipeline_id == pipeline.id
    keys = [row["field_key"] for row in caller.get(f"/v1/deals/{deal.id}/changelog")["data"]]
    assert sorted(keys) == ["pipeline_id", "stage_id"]
    account.rename_pipeline(pipeline.id, "Sucesso do cliente")
    account.delete_stage(stage.id)
    stages = {s["id"] for s in caller.get("/api/v2/stages", limit=500)["data"]}
    assert stage.id not in stages


def test_a_late_commit_has_an_earlier_update_time(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("atrasado", at="2026-06-15T11:58:00Z")
    account.update_deal(deal.id, value=5, at="2026-06-15T11:59:00Z")
    found = caller.get(DEALS, updated_since="2026-06-15T11:59:00Z", sort_by="update_time")["data"]
    assert deal.id in {record["id"] for record in found}


def test_an_update_time_can_be_missing(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("nunca editado", update_time=None)
    assert caller.get(DEALS, sort_by="update_time", limit=1)["data"][0]["id"] == deal.id
    found = caller.all(DEALS, sort_by="id", limit=500, updated_since="1970-01-01T00:00:00Z")
    assert deal.id not in {record["id"] for record in found}


def test_chosen_ids_do_not_collide_with_later_ones(caller: Caller) -> None:
    account = caller.account
    number = account.create_deal("um").id
    account.create_deal("dois", deal_id=number + 1)
    assert account.create_deal("três").id == number + 2
    with pytest.raises(EditError, match="exists already"):
        account.create_deal("outro", deal_id=number)


def test_winning_sets_local_dates_of_the_companys_time_zone(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("de madrugada")
    account.win_deal(deal.id, at="2026-06-16T01:00:00Z")
    assert (deal.won_time, deal.local_won_date) == ("2026-06-16T01:00:00Z", "2026-06-15")
    account.reopen_deal(deal.id)
    assert (deal.won_time, deal.local_won_date, deal.close_time) == (None, None, None)
