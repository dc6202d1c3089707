"""Lists: filters, windows, deleted and archived records, shapes of custom fields."""

from __future__ import annotations

from typing import Any

import pytest
from pipedrive_simulator.account.fields import CUSTOM_TYPES
from simulator_helpers import NOW, Caller, make_account, make_caller

DEALS = "/api/v2/deals"


def ids(records: list[dict[str, Any]]) -> set[int]:
    return {record["id"] for record in records}


@pytest.mark.parametrize("name", ["owner_id", "stage_id", "pipeline_id", "person_id", "org_id"])
def test_deals_can_be_selected_by_a_reference(big: Caller, name: str) -> None:
    everything = big.all(DEALS, limit=500)
    value = next(record[name] for record in everything if record[name] is not None)
    chosen = big.all(DEALS, limit=500, **{name: value})
    assert ids(chosen) == ids([r for r in everything if r[name] == value])
    assert chosen


def test_the_window_includes_its_start_and_excludes_its_end(big: Caller) -> None:
    everything = sorted(big.all(DEALS, limit=500), key=lambda r: r["update_time"])
    first, last = everything[200]["update_time"], everything[700]["update_time"]
    expected = ids([r for r in everything if first <= r["update_time"] < last])
    for sort_by in ("id", "update_time", "add_time"):
        for direction in ("asc", "desc"):
            found = big.all(DEALS, limit=97, sort_by=sort_by, sort_direction=direction,
                            updated_since=first, updated_until=last)  # fmt: skip
            assert ids(found) == expected
            assert len(found) == len(expected)


@pytest.mark.parametrize(
    "value",
    ["2026-01-01T00:00:00.123Z", "2026-01-01", "2026-13-01T00:00:00Z", "yesterday", "",
     "2026-01-01 00:00:00", "2026-01-01T00:00:00"],
)  # fmt: skip
def test_bad_instants_are_refused(big: Caller, value: str) -> None:
    reply = big.reply(DEALS, updated_since=value)
    assert reply.status == 400
    assert b"not a valid datetime" in reply.body


def test_status_selects_also_deleted_deals(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("vai ser apagado")
    account.delete_deal(deal.id)
    assert deal.id not in ids(caller.all(DEALS, limit=500))
    (record,) = caller.get(DEALS, status="deleted", ids=deal.id)["data"]
    assert (record["status"], record["is_deleted"]) == ("deleted", True)
    assert deal.id in ids(caller.all(DEALS, status="open,won,lost,deleted", limit=500))
    assert caller.get(f"{DEALS}/{deal.id}")["data"]["is_deleted"] is True
    account.advance_clock(30 * 86_400 + 1)
    assert caller.all(DEALS, status="deleted", limit=500) == []
    assert caller.reply(f"{DEALS}/{deal.id}").status == 404


def test_archived_deals_are_in_their_own_list_only(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("vai ser arquivado")
    account.archive_deal(deal.id)
    assert deal.id not in ids(caller.all(DEALS, limit=500))
    archived = caller.all(f"{DEALS}/archived", limit=500, updated_since=NOW)
    assert [r["id"] for r in archived] == [deal.id]
    account.delete_deal(deal.id)
    assert deal.id not in ids(caller.all(f"{DEALS}/archived", limit=500))
    assert deal.id in ids(caller.all(f"{DEALS}/archived", status="deleted", limit=500))
    account.restore_deal(deal.id)
    account.unarchive_deal(deal.id)
    assert deal.id in ids(caller.all(DEALS, limit=500))


@pytest.mark.parametrize("path", ["persons", "organizations", "activities", "products"])
def test_other_deleted_records_are_not_listed(caller: Caller, path: str) -> None:
    url = f"/api/v2/{path}"
    first = caller.get(url, limit=1)["data"][0]["id"]
    singular = {"activities": "activity"}.get(path, path.removesuffix("s"))
    caller.account.apply(f"delete_{singular}", **{_key(singular): first})
    assert first not in ids(caller.all(url, limit=500))
    assert caller.get(url, ids=first)["data"] == []


def _key(singular: str) -> str:
    return {"organization": "org_id"}.get(singular, f"{singular}_id")


def test_ids_are_at_most_a_hundred_and_omit_what_is_missing(big: Caller) -> None:
    assert ids(big.get(DEALS, ids="1,2,999999")["data"]) <= {1, 2}
    assert big.reply(DEALS, ids=",".join(map(str, range(101)))).status == 400
    assert big.reply(DEALS, ids="1,x").status == 400


def test_a_filter_overrides_other_selections(big: Caller) -> None:
    found = big.all(DEALS, filter_id=1, owner_id=1, limit=500)
    assert {r["status"] for r in found} == {"open"}
    assert len({r["owner_id"] for r in found}) > 1
    assert big.reply(DEALS, filter_id=99).status == 404


def test_every_defined_custom_field_is_there_and_null_when_unset(big: Caller) -> None:
    keys = list(big.account.fields["deal"].keys())
    records = big.get(DEALS, limit=500)["data"]
    for record in records:
        assert list(record["custom_fields"]) == keys
    share = {
        k: sum(r["custom_fields"][k] is not None for r in records) / len(records) for k in keys
    }
    assert sum(1 for value in share.values() if value < 0.25) > 12
    assert sum(1 for value in share.values() if value > 0.75) >= 3


SHAPES = {
    "varchar": str, "varchar_auto": str, "text": str, "double": float,
    "monetary": {"value", "currency"},
    "date": str, "set": list, "enum": int, "user": int, "org": int, "people": int, "phone": str,
    "time": {"value", "timezone_id", "timezone_name"},
    "timerange": {"value", "until", "timezone_id", "timezone_name"},
    "daterange": {"value", "until"}, "address": {"value", "formatted_address", "country"},
}  # fmt: skip


@pytest.mark.parametrize("kind", CUSTOM_TYPES)
def test_shapes_of_every_custom_field_type(big: Caller, kind: str) -> None:
    keys = [f.code for f in big.account.fields["deal"].custom if f.type == kind]
    assert keys
    values = [r["custom_fields"][k] for r in big.all(DEALS, limit=500) for k in keys]
    values = [value for value in values if value is not None]
    assert values
    for value in values:
        shape = SHAPES[kind]
        if isinstance(shape, set):
            assert shape <= set(value)
        else:
            assert isinstance(value, shape)


def test_optional_properties_are_returned_only_if_requested(big: Caller) -> None:
    plain = big.get(DEALS, limit=1)["data"][0]
    assert "activities_count" not in plain
    data = big.get(DEALS, limit=1, include_fields="activities_count,first_won_time")["data"][0]
    assert set(data) - set(plain) == {"activities_count", "first_won_time"}


def test_custom_fields_and_labels_can_be_chosen(big: Caller) -> None:
    field = big.account.fields["deal"].find("Segmento")
    deal = next(
        d for d in big.account.deals.records.values() if d.custom_fields.values.get(field.code)
    )
    url = f"{DEALS}/{deal.id}"
    chosen = big.get(url, custom_fields=field.code)["data"]["custom_fields"]
    assert list(chosen) == [field.code]
    labelled = big.get(url, include_option_labels="true", include_labels="true")["data"]
    assert set(labelled["custom_fields"][field.code]) == {"id", "label"}
    assert "labels" in labelled
    assert big.reply(DEALS, custom_fields=",".join("x" * i for i in range(1, 18))).status == 400


def test_a_deleted_option_stays_in_records_without_a_label(big: Caller) -> None:
    field = big.account.fields["deal"].find("Origem da oportunidade")
    known = {option.id for option in field.options or []}
    used = {r["custom_fields"][field.code] for r in big.all(DEALS, limit=500)} - {None}
    assert len(used - known) == 1


def test_some_stages_and_pipelines_were_never_edited(big: Caller) -> None:
    for path in ("stages", "pipelines"):
        updated = [r["update_time"] for r in big.get(f"/api/v2/{path}", limit=500)["data"]]
        assert None in updated
        assert any(updated)


def test_deal_ids_are_repeated_or_separated_by_commas(big: Caller) -> None:
    with_lines = list(big.account.products_of_deal)[:5]
    path = "/api/v2/deals/products"
    by_comma = big.get(path, deal_ids=",".join(map(str, with_lines)))
    assert by_comma == big.get(path, deal_ids=with_lines)
    assert {r["deal_id"] for r in by_comma["data"]} == set(with_lines)
    pages = big.all(
        path, deal_ids=with_lines, limit=2, sort_by="update_time", sort_direction="desc"
    )
    assert sorted(r["id"] for r in pages) == sorted(r["id"] for r in by_comma["data"])
    assert big.reply(path).status == 400
    assert big.reply(path, deal_ids=list(range(101))).status == 400
    assert big.get("/api/v2/deals/installments", deal_ids=1)["data"] == []


def test_lines_add_up_to_the_value_of_the_deal(big: Caller) -> None:
    for deal_id, lines in big.account.products_of_deal.items():
        total = sum(big.account.deal_products.records[i].sum for i in lines)
        assert total == pytest.approx(big.account.deals.records[deal_id].value, abs=0.02)


def test_v1_instants_are_naive_and_leads_carry_flat_custom_fields(big: Caller) -> None:
    assert big.get("/v1/notes")["data"][0]["add_time"][10] == " "
    assert big.get("/v1/users")["data"][0]["created"][10] == " "
    leads = big.get("/v1/leads", limit=500, sort="update_time ASC")["data"]
    assert leads == sorted(leads, key=lambda lead: lead["update_time"])
    segment = big.account.fields["deal"].find("Segmento").code
    assert {type(lead[segment]) for lead in leads if segment in lead} == {str}
    since = leads[len(leads) // 2]["update_time"][:19] + "Z"
    later = big.get("/v1/leads", limit=500, updated_since=since)["data"]
    assert {lead["id"] for lead in later} == {
        lead["id"] for lead in leads if lead["update_time"] >= since[:19]
    }


def test_the_generated_process_has_plausible_rates() -> None:
    account = make_account(deals=3000)
    deals = list(account.deals.records.values())
    won = sum(d.status == "won" for d in deals)
    lost = sum(d.status == "lost" for d in deals)
    assert 0.30 < won / (won + lost) < 0.45
    temperature = account.fields["deal"].find("Temperatura do lead")
    hot, cold = (
        [d.status for d in deals
         if d.custom_fields.values.get(temperature.code) == o.id and d.status in ("won", "lost")]
        for o in (temperature.options or [])[::2]
    )  # fmt: skip
    assert hot.count("won") / len(hot) > 1.5 * cold.count("won") / len(cold)
    assert {d.currency for d in deals} == {"BRL", "USD", "EUR"}
    reopened = [d for d in deals if any(
        b.status == "open" and a.status in ("won", "lost")
        for a, b in zip(account.deal_states[d.id], account.deal_states[d.id][1:], strict=False)
    )]  # fmt: skip
    moved = [d for d in deals if len({s.pipeline_id for s in account.deal_states[d.id]}) > 1]
    assert len(reopened) > 20
    assert len(moved) > 20
    assert max(d.update_time or "" for d in deals) <= NOW
    for deal in deals:
        times = [row.time for row in account.logs["deal"].rows(deal.id)]
        assert times == sorted(times)
        assert not times or deal.is_archived or deal.is_deleted or deal.update_time == times[-1]
    assert all(s.time <= NOW for states in account.deal_states.values() for s in states)


def test_an_empty_account_answers_every_operation() -> None:
    empty = make_caller(make_account(deals=0))
    assert empty.get(DEALS) == {
        "success": True, "data": [], "additional_data": {"next_cursor": None},
    }  # fmt: skip
    assert len(empty.get("/api/v2/stages")["data"]) == 14


def test_the_summary_adds_up(big: Caller) -> None:
    deals = [d for d in big.all(DEALS, limit=500) if d["status"] == "open"]
    data = big.get("/v1/deals/summary", status="open")["data"]
    assert data["total_count"] == len(deals)
    for currency, total in data["values_total"].items():
        values = [d["value"] for d in deals if d["currency"] == currency]
        assert (total["count"], total["value"]) == (len(values), pytest.approx(sum(values)))


def test_the_summary_converts_into_the_currency_of_the_account() -> None:
    caller = make_caller(make_account(deals=0))
    for value, currency, status in (
        (10.25, "BRL", "open"), (1_000, "USD", "open"), (234.57, "USD", "won"),
        (70, "EUR", "lost"), (5_000, "XAU", "open"), (0, "ARS", "open"),
    ):  # fmt: skip
        caller.account.create_deal(value=value, currency=currency, status=status)
    data = caller.get("/v1/deals/summary")["data"]
    assert data["values_total"]["USD"] == {
        "value": 1_234.57, "count": 2, "value_converted": 6_172.85,
        "value_formatted": "US$1,234.57", "value_converted_formatted": "R$6,172.85",
    }  # fmt: skip
    converted = {code: entry["value_converted"] for code, entry in data["values_total"].items()}
    assert converted == {"BRL": 10.25, "USD": 6_172.85, "EUR": 385.0, "XAU": 0.0, "ARS": 0.0}
    assert data["total_currency_converted_value"] == 6_568.10, "XAU has no rate: it is left out"
    assert data["total_count"] == 6


def test_some_records_were_deleted_or_merged(big: Caller) -> None:
    account = big.account
    assert account.merged["person"] == {30: 7}
    assert account.merged["organization"] == {20: 3}
    assert 400 not in ids(big.all("/api/v2/persons", limit=500))
    assert any(line.product_id is None for line in account.deal_products.records.values())
    assert any(activity.is_deleted for activity in account.activities.records.values())


def test_contacts_are_selected_by_their_deal(caller: Caller) -> None:
    deal = caller.account.create_deal("com contato", person_id=7)
    assert ids(caller.get("/api/v2/persons", deal_id=deal.id)["data"]) == {7}
    assert caller.get("/api/v2/persons", deal_id=99_999)["data"] == []


def test_optional_properties_come_with_chosen_custom_fields(caller: Caller) -> None:
    key = next(iter(caller.account.fields["deal"].keys()))
    found = caller.get(f"{DEALS}/1", include_fields="activities_count", custom_fields=key)["data"]
    assert list(found["custom_fields"]) == [key]
    alone = caller.get(f"{DEALS}/1", include_fields="activities_count")["data"]
    assert found["activities_count"] == alone["activities_count"]
