"""The changelog against the account's records: replaying its rows gives the stays in stages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipedrive_simulator.account.oracle import stage_intervals
from simulator_helpers import TINY_CSV, Caller, make_account, make_caller

State = tuple[str, int, int, str]


def replay(record: dict[str, Any], rows: list[dict[str, Any]]) -> list[State]:
    """Rebuild the states of a deal from its record and its changelog, newest row first."""
    stage, pipeline, status = record["stage_id"], record["pipeline_id"], record["status"]
    states: list[State] = []
    for row in rows:
        key, time = row["field_key"], row["time"].replace(" ", "T") + "Z"
        if key not in ("stage_id", "pipeline_id", "status"):
            continue
        here = (time, stage, pipeline, status)
        # A move to another pipeline has two rows of the same edit.
        if key != "stage_id" or not states or states[-1][0] != time or states[-1][1:] != here[1:]:
            states.append(here)
        if key == "stage_id":
            assert row["new_value"] == str(stage)
            stage = int(row["old_value"])
        elif key == "pipeline_id":
            assert row["new_value"] == str(pipeline)
            pipeline = int(row["old_value"])
        else:
            assert row["new_value"] == status
            status = row["old_value"]
    states.append((record["add_time"], stage, pipeline, status))
    return states[::-1]


def consistent(states: list[State], truth: list[dict[str, Any]], pipelines: dict[int, int]) -> None:
    """Remove intermediate states between the rows of one edit, which the account does not have."""
    possible = [s for s in states if pipelines[s[1]] == s[2]]
    data = [(t["valid_from"], t["stage_id"], t["pipeline_id"], t["status"]) for t in truth]
    collapsed: list[State] = []
    for state in possible:
        if not collapsed or collapsed[-1][1:] != state[1:]:
            collapsed.append(state)
    assert collapsed == data
    ends = [t["valid_to"] for t in truth]
    assert ends == [t["valid_from"] for t in truth[1:]] + [None]


def check_all(caller: Caller) -> int:
    account = caller.account
    pipelines = {s.id: s.pipeline_id for s in account.stages.records.values()}
    checked = 0
    for path in ("/api/v2/deals", "/api/v2/deals/archived"):
        for record in caller.all(path, status="open,won,lost,deleted", limit=500):
            rows = caller.all(f"/v1/deals/{record['id']}/changelog", limit=500)
            truth = list(stage_intervals(account, record["id"]))
            consistent(replay(record, rows), truth, pipelines)
            checked += 1
    return checked


@pytest.mark.parametrize(
    "plan",
    [{"deals": 400}, {"kind": "csv", "csv_dir": str(TINY_CSV), "now": None},
     {"kind": "endless", "deals": 300}],
    ids=["generated", "csv", "endless"],
)  # fmt: skip
def test_replaying_the_changelog_gives_the_stays(plan: dict[str, Any]) -> None:
    caller = make_caller(make_account(**plan))
    assert check_all(caller) > 5
    caller.account.advance(deals=4 if "csv_dir" in plan else 60, hours=5)
    assert check_all(caller) > 5


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 14), st.sampled_from(["move", "won", "lost", "open"]),
                  st.integers(0, 1)),
        max_size=15,
    )
)  # fmt: skip
def test_edits_within_a_second_keep_their_order(edits: list[tuple[int, str, int]]) -> None:
    account = make_account(deals=0)
    deal = account.create_deal("um negócio", stage_id=1)
    for stage, what, seconds in edits:
        account.clock.advance(seconds)
        if what == "move":
            account.move_deal(deal.id, stage)
        else:
            account.update_deal(deal.id, status=what)
    assert check_all(make_caller(account)) == 1


def test_a_deal_that_never_changed_has_no_rows() -> None:
    account = make_account(deals=0)
    deal = account.create_deal("parado")
    assert make_caller(account).get(f"/v1/deals/{deal.id}/changelog")["data"] == []


def test_values_are_text_and_fields_have_their_v1_names(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("nomes", value=100, owner_id=1)
    money = account.fields["deal"].find("Valor de implantação").code
    modules = account.fields["deal"].find("Módulos de interesse")
    chosen = [o.id for o in (modules.options or [])[:2]]
    account.update_deal(deal.id, value=250.5, owner_id=3, expected_close_date="2026-07-01",
                        custom_fields={money: {"value": 10, "currency": "BRL"},
                                       modules.code: chosen})  # fmt: skip
    account.lose_deal(deal.id, "Preço")
    rows = caller.get(f"/v1/deals/{deal.id}/changelog")["data"]
    data = {row["field_key"]: (row["old_value"], row["new_value"]) for row in rows}
    assert data["value"] == ("100", "250.5")
    assert data["user_id"] == ("1", "3")
    assert data["expected_close_date"] == (None, "2026-07-01")
    assert data["lost_reason"] == (None, "Preço")
    assert data["status"] == ("open", "lost")
    assert data[money] == (None, "10")
    assert data[f"{money}_currency"] == (None, "BRL")
    assert data[modules.code] == (None, ",".join(map(str, chosen)))


def test_flow_has_the_creation_and_custom_fields_only_if_requested(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("fluxo")
    account.update_deal(deal.id, custom_fields={"Concorrente": "NexoERP"}, value=3)
    path = f"/v1/deals/{deal.id}/flow"
    keys = [item["data"]["field_key"] for item in caller.get(path)["data"]]
    assert sorted(keys) == ["add_time", "value"]
    assert len(caller.get(path, all_changes="1")["data"]) == 3
    assert caller.get(path, items="activity")["data"] is None


def test_persons_and_organizations_have_changelogs(caller: Caller) -> None:
    caller.account.update_person(1, job_title="Outro cargo")
    caller.account.update_organization(1, name="Outro nome")
    assert caller.get("/v1/persons/1/changelog")["data"][0]["new_value"] == "Outro cargo"
    assert caller.get("/v1/organizations/1/changelog")["data"][0]["field_key"] == "name"


def test_a_purged_deal_has_no_history(caller: Caller) -> None:
    account = caller.account
    deal = account.create_deal("apagado")
    account.delete_deal(deal.id)
    assert caller.reply(f"/v1/deals/{deal.id}/changelog").status == 200
    account.advance_clock(31 * 86_400)
    assert caller.reply(f"/v1/deals/{deal.id}/changelog").status == 404


def test_the_flow_of_a_deal_whose_owner_is_unknown_names_no_user(caller: Caller) -> None:
    deal = caller.account.create_deal("de fora", owner_id=999)
    related = caller.get(f"/v1/deals/{deal.id}/flow")["related_objects"]
    assert set(related) == {"deal"}
