"""Edits update history, references and definitions; edits that a real account refuses fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pipedrive_simulator.account.records import Product
from pipedrive_simulator.account.state import EditError
from pipedrive_simulator.account.table import PageQuery, Table
from pipedrive_simulator.opening import Plan, open_account
from simulator_helpers import NOW, Caller

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


def test_organizations_and_products_are_created_and_changed(caller: Caller) -> None:
    account = caller.account
    field = account.add_field("product", "Garantia", "double")
    org = account.create_organization("Nova Ltda.", employee_count=7)
    product = account.create_product("Caixa", code="CX", custom_fields={"Garantia": 12})
    account.update_organization(org.id, employee_count=8)
    account.update_product(product.id, name="Caixa grande", custom_fields={"Garantia": 24})
    found = caller.get(f"/api/v2/organizations/{org.id}")["data"]
    assert (found["name"], found["employee_count"]) == ("Nova Ltda.", 8)
    found = caller.get(f"/api/v2/products/{product.id}")["data"]
    assert (found["name"], found["code"]) == ("Caixa grande", "CX")
    assert found["custom_fields"][field.code] == 24
    account.update_product(product.id, custom_fields={field.code: None})
    found = caller.get(f"/api/v2/products/{product.id}")["data"]
    assert found["custom_fields"][field.code] is None


def test_an_activity_can_have_no_deal(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("um")
    count = {"include_fields": "activities_count"}
    activity = account.create_activity("almoço")
    account.update_activity(activity.id, deal_id=deal.id)
    assert caller.get(f"{DEALS}/{deal.id}", **count)["data"]["activities_count"] == 1
    account.update_activity(activity.id, deal_id=None, subject="jantar")
    assert caller.get(f"{DEALS}/{deal.id}", **count)["data"]["activities_count"] == 0
    account.delete_activity(activity.id)
    assert caller.get("/api/v2/activities", ids=activity.id)["data"] == []


def test_leads_are_changed_and_deleted(caller: Caller) -> None:
    account = caller.account
    first, second = account.create_lead("um"), account.create_lead("dois")
    account.update_lead(first.id, title="um e meio", is_archived=True)
    (archived,) = [r for r in caller.get("/v1/leads/archived", limit=500)["data"]
                   if r["id"] == first.id]  # fmt: skip
    assert archived["title"] == "um e meio"
    account.delete_lead(first.id)
    listed = [r["id"] for r in caller.get("/v1/leads/archived", limit=500)["data"] or []]
    assert first.id not in listed
    third = account.create_lead("três")
    assert third.id not in (first.id, second.id)
    assert account.leads.get(second.id) is second


def test_custom_fields_of_leads_are_those_of_deals(caller: Caller) -> None:
    account = caller.account
    price = account.add_field("deal", "Preço alvo", "monetary")
    tags = account.add_field("deal", "Rótulos", "set", ["a", "b"])
    money = {"value": 10, "currency": "BRL"}
    lead = account.create_lead("um", custom_fields={"Preço alvo": money})
    account.update_lead(lead.id, custom_fields={"Rótulos": [1, 2]})

    def listed() -> dict[str, Any]:
        (found,) = [r for r in caller.get("/v1/leads", limit=500)["data"] if r["id"] == lead.id]
        return dict(found)

    assert (listed()[price.code], listed()[f"{price.code}_currency"]) == (10, "BRL")
    assert listed()[tags.code] == "1,2"
    account.update_lead(lead.id, custom_fields={price.code: None})
    assert price.code not in listed() and tags.code in listed()


def test_users_are_changed(caller: Caller) -> None:
    caller.account.update_user(2, active_flag=False)
    (user,) = [u for u in caller.get("/v1/users")["data"] if u["id"] == 2]
    assert (user["active_flag"], user["modified"]) == (False, "2026-06-15 12:00:00")


def test_a_follower_among_others_is_removed(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("seguido")
    account.follow_deal(deal.id, 3)
    account.follow_deal(deal.id, 4)
    account.unfollow_deal(deal.id, 4)
    followers = caller.get(f"{DEALS}/{deal.id}/followers")["data"]
    assert [row["user_id"] for row in followers if row["user_id"] != deal.owner_id] == [3]


def test_deleting_twice_or_restoring_a_live_deal_changes_nothing(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("um")
    account.clock.advance(60)
    account.restore_deal(deal.id)
    assert (deal.status, deal.update_time) == ("open", NOW)
    account.delete_deal(deal.id)
    deleted = deal.update_time
    account.clock.advance(60)
    account.delete_deal(deal.id)
    assert (deal.status, deal.update_time) == ("deleted", deleted)


NOWHERE = 999_999


@pytest.mark.parametrize(
    ("op", "arguments", "reason"),
    [
        ("move_deal", {"deal_id": 1, "stage_id": NOWHERE}, "no stage 999999"),
        ("unarchive_deal", {"deal_id": 2}, "is deleted: not editable"),
        ("update_person", {"person_id": NOWHERE, "name": "x"}, "persons: no record 999999"),
        ("update_person", {"person_id": 1, "typo": 1}, "no property 'typo'"),
        ("update_lead", {"lead_id": "x", "title": "x"}, "leads: no record x"),
        ("update_user", {"user_id": 1, "typo": 1}, "no property 'typo'"),
        ("create_person", {"name": "x", "typo": 1}, "typo"),
        ("create_lead", {"title": "x", "typo": 1}, "typo"),
        ("create_lead", {"title": "x", "custom_fields": {"none": 1}}, "no custom field 'none'"),
        ("merge_persons", {"person_id": 1, "into": 1}, "merged into itself"),
        ("rename_stage", {"stage_id": NOWHERE, "name": "x"}, "stages: no record 999999"),
        ("delete_stage", {"stage_id": NOWHERE}, "stages: no record 999999"),
        ("detach_product", {"line_id": NOWHERE}, "deal_products: no record 999999"),
        ("rename_option", {"entity": "deal", "field": "Segmento", "option_id": NOWHERE,
                           "label": "x"}, "no option 999999"),
        ("add_option", {"entity": "deal", "field": "Observações", "label": "x"}, "no options"),
        ("advance", {"deals": -1}, "must not be negative"),
        ("advance", {"hours": -1}, "must not be negative"),
    ],
)  # fmt: skip
def test_an_impossible_edit_is_refused_with_the_reason(
    caller: Caller, op: str, arguments: dict[str, Any], reason: str
) -> None:
    caller.account.delete_deal(2)
    with pytest.raises(EditError, match=reason):
        caller.account.apply(op, **arguments)


def test_a_lead_has_no_unknown_property(caller: Caller) -> None:
    lead = caller.account.create_lead("um")
    with pytest.raises(EditError, match="no property 'typo'"):
        caller.account.apply("update_lead", lead_id=lead.id, typo=1)


def test_a_refused_merge_moves_nothing(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("com contato", person_id=1)
    account.delete_person(1)
    with pytest.raises(EditError, match="persons: no record 1"):
        account.merge_persons(1, into=2)
    assert deal.person_id == 1


@pytest.mark.parametrize("missing", ["stage", "user"])
def test_an_advance_without_stages_or_active_users_changes_nothing(
    caller: Caller, missing: str
) -> None:
    account = caller.account
    for stage in list(account.stages.records) if missing == "stage" else ():
        account.delete_stage(stage)
    for user in list(account.users.records) if missing == "user" else ():
        account.update_user(user, active_flag=False)
    before = [account.deals.encode(deal) for deal in account.deals.records.values()]
    with pytest.raises(EditError, match=missing):
        account.advance(deals=40, hours=1)
    assert [account.deals.encode(deal) for deal in account.deals.records.values()] == before
    assert account.advance(deals=0, hours=1)["deals"] == 0


def test_an_advance_of_pipelines_of_one_stage_moves_deals_between_pipelines(caller: Caller) -> None:
    account = caller.account
    firsts = {s.pipeline_id: s.id for s in reversed(account.stages.records.values())}
    for stage in list(account.stages.records):
        if stage not in firsts.values():
            account.delete_stage(stage)
    moved = account.advance(deals=40, hours=1)["deal_ids"]["moved"]
    assert {account.deals.records[deal].stage_id for deal in moved} <= set(firsts.values())
    keys = [row["field_key"] for row in caller.get(f"/v1/deals/{moved[0]}/changelog")["data"]]
    assert "pipeline_id" in keys


def test_an_advance_of_one_stage_and_no_fields_changes_values(caller: Caller) -> None:
    account = caller.account
    for stage in list(account.stages.records)[1:]:
        account.delete_stage(stage)
    for field in list(account.fields["deal"].custom):
        account.remove_field("deal", field.code)
    account.add_field("deal", "Sem opções", "enum", [])
    for number in range(60):  # enough open deals for each kind of change
        account.create_deal(f"aberto {number}")
    changes = account.advance(deals=40, hours=1)["deal_ids"]
    assert "field_changed" not in changes
    assert {account.deals.records[deal].stage_id for deal in changes.get("moved", ())} <= {1}
    for deal_id in changes["value_changed"]:
        newest = caller.get(f"/v1/deals/{deal_id}/changelog")["data"][0]
        assert newest["field_key"] == "value"


def test_refused_edits_use_no_ids(tmp_path: Path) -> None:
    plan, state = Plan(deals=5, now=NOW, frozen=True), tmp_path / "state.jsonl"
    account = open_account(plan, state)
    for op in ("create_deal", "create_lead"):
        with pytest.raises(EditError):
            account.apply(op, title="x", typo=1)
    for op in ("create_person", "create_organization", "create_product"):
        with pytest.raises(EditError):
            account.apply(op, name="x", typo=1)
    made = [account.create_deal("a").id, account.create_person("b").id,
            account.create_product("c").id, account.create_lead("d").id]  # fmt: skip
    again = open_account(plan, state)
    records = (again.deals, again.persons, again.products, again.leads)
    assert [list(table.records)[-1] for table in records] == made


def test_a_dropped_record_leaves_the_lists_of_its_table() -> None:
    table: Table[Product] = Table(
        "products", lists={"all": lambda product: True, "deleted": lambda p: p.is_deleted}
    )
    for number in (1, 2, 3):
        table.put(Product(id=number, name=f"P{number}", owner_id=1, prices=[], add_time=NOW,
                          update_time=NOW))  # fmt: skip
    assert len(table.read_page(PageQuery("all"))[0]) == 3
    assert table.read_page(PageQuery("deleted"))[0] == []
    table.drop(table.records[2])
    assert [product.id for product in table.read_page(PageQuery("all"))[0]] == [1, 3]
    assert table.get(2) is None
