"""Numbers about a period, against numbers counted from the stays of deals."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from pipedrive_simulator.account.oracle import TRUTHS
from simulator_helpers import Caller

# The company's days begin at 03:00 UTC.
BEGIN, END = "2026-05-01T03:00:00Z", "2026-06-01T03:00:00Z"
MONTH = {"start_date": "2026-05-01", "end_date": "2026-05-31"}


@pytest.fixture(scope="module")
def stays(big: Caller) -> dict[int, list[dict[str, Any]]]:
    """Stays of live deals that began before the end of the month, by deal."""
    found: dict[int, list[dict[str, Any]]] = {}
    for line in TRUTHS["stage_intervals"](big.account):
        stay = msgspec.json.decode(line)
        deal = big.account.deals.records[stay["deal_id"]]
        if not (deal.is_deleted or deal.is_archived) and stay["valid_from"] < END:
            found.setdefault(deal.id, []).append(stay)
    return found


def over_all_users(big: Caller, pipeline: int, kind: str) -> list[dict[str, Any]]:
    return [
        big.get(f"/v1/pipelines/{pipeline}/{kind}", **MONTH, user_id=user)["data"]
        for user in big.account.users.records
    ]


@pytest.mark.parametrize("pipeline", [1, 2, 3])
def test_movements_equal_those_of_the_history(
    big: Caller, stays: dict[int, list[dict[str, Any]]], pipeline: int
) -> None:
    data = over_all_users(big, pipeline, "movement_statistics")
    last = {deal: own[-1] for deal, own in stays.items() if own[-1]["pipeline_id"] == pipeline}
    turned: dict[str, set[int]] = {"won": set(), "lost": set()}
    for deal, stay in last.items():
        run = [s["valid_from"] for s in stays[deal]]
        states = [s["status"] for s in stays[deal]]
        while len(states) > 1 and states[-2] == stay["status"]:
            states.pop()
            run.pop()
        if stay["status"] in turned and run[-1] >= BEGIN:
            turned[stay["status"]].add(deal)
    expected = {
        "new_deals": {deal for deal, own in stays.items()
                      if own[0]["pipeline_id"] == pipeline and own[0]["valid_from"] >= BEGIN},
        "deals_left_open": {deal for deal, stay in last.items() if stay["status"] == "open"},
        "won_deals": turned["won"],
        "lost_deals": turned["lost"],
    }  # fmt: skip
    for name, deals in expected.items():
        assert {i for one in data for i in one[name]["deals_ids"]} == deals, name
        assert sum(one[name]["count"] for one in data) == len(deals) > 0
    values = Counter[str]()
    for deal in expected["won_deals"]:
        values[big.account.deals.records[deal].currency] += big.account.deals.records[deal].value
    for currency, value in values.items():
        found = sum(one["won_deals"]["values"].get(currency, 0) for one in data)
        assert found == pytest.approx(value, abs=len(data))
    moves = sum(
        1
        for own in stays.values()
        for a, b in pairwise(own)
        if b["valid_from"] >= BEGIN
        and a["stage_id"] != b["stage_id"]
        and a["pipeline_id"] == b["pipeline_id"] == pipeline
    )
    assert sum(one["movements_between_stages"]["count"] for one in data) == moves > 0


def test_ages_equal_those_of_deals_left_open(
    big: Caller, stays: dict[int, list[dict[str, Any]]]
) -> None:
    data = big.get("/v1/pipelines/1/movement_statistics", **MONTH, user_id=3)["data"]
    ages = data["average_age_in_days"]
    deals = [big.account.deals.records[i] for i in data["deals_left_open"]["deals_ids"]]
    assert 0 < ages["across_all_stages"] < 200
    assert [entry["stage_id"] for entry in ages["by_stages"]] == [1, 2, 3, 4, 5]
    stages_with_deals = {stays[deal.id][-1]["stage_id"] for deal in deals}
    assert all(
        entry["value"] == 0
        for entry in ages["by_stages"]
        if entry["stage_id"] not in stages_with_deals
    )


@pytest.mark.parametrize("pipeline", [1, 2])
def test_conversions_are_shares_of_the_deals_in_a_stage(
    big: Caller, stays: dict[int, list[dict[str, Any]]], pipeline: int
) -> None:
    stages = [s.id for s in big.account.stages.records.values() if s.pipeline_id == pipeline]
    for user in (1, 2, 3):
        data = big.get(
            f"/v1/pipelines/{pipeline}/conversion_statistics", **MONTH, user_id=user
        )["data"]  # fmt: skip
        steps = [(c["from_stage_id"], c["to_stage_id"]) for c in data["stage_conversions"]]
        assert steps == list(pairwise(stages))
        own = [s for deal, s in stays.items() if big.account.deals.records[deal].owner_id == user]
        for conversion in data["stage_conversions"]:
            here = conversion["from_stage_id"]
            were = [
                deal for deal in own
                if any(s["stage_id"] == here and s["status"] == "open"
                       and (s["valid_to"] is None or s["valid_to"] > BEGIN) for s in deal)
            ]  # fmt: skip
            went = [
                deal for deal in were
                if any(a["stage_id"] == here and a["status"] == "open" and b["stage_id"] > here
                       and b["pipeline_id"] == pipeline and b["valid_from"] >= BEGIN
                       for a, b in pairwise(deal))
            ]  # fmt: skip
            share = round(100 * len(went) / len(were)) if were else 0
            assert conversion["conversion_rate"] == share
        assert 0 <= data["won_conversion"] + data["lost_conversion"] <= 100


def test_statistics_are_of_the_tokens_user_by_default(big: Caller) -> None:
    path = "/v1/pipelines/1/movement_statistics"
    assert big.get(path, **MONTH) == big.get(path, **MONTH, user_id=1)
    assert big.reply(path).status == 400
    assert big.reply(path, start_date="2026-05-31", end_date="2026-05-01").status == 400
    assert big.reply("/v1/pipelines/99/movement_statistics", **MONTH).status == 404


def test_the_summary_can_be_limited_to_pipeline_and_status(big: Caller) -> None:
    deals = big.all("/api/v2/deals", pipeline_id=2, status="won", limit=500)
    data = big.get("/v1/deals/summary", pipeline_id=2, status="won")["data"]
    assert data["total_count"] == len(deals) > 0


def goals(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.get("/v1/goals/find", **query)["data"]["goals"]
    return found


def test_goals_are_of_the_tokens_user_by_default(big: Caller) -> None:
    assert {goal["assignee"]["id"] for goal in goals(big)} == {1}
    kinds = [goal["type"]["name"] for goal in goals(big, **{"assignee.type": "company"})]
    assert kinds == ["deals_won", "deals_progressed"]
    assert len(goals(big, **{"assignee.type": "person"})) == 2
    assert len(goals(big, is_active="false", **{"assignee.type": "company"})) == 1
    assert goals(big, **{"type.params.pipeline_id": "1,2"})[0]["assignee"]["type"] == "team"
    assert goals(big, **{"period.start": "2030-01-01", "period.end": "2030-02-01"}) == []
    assert big.reply("/v1/goals/find", **{"period.start": "2030-01-01"}).status == 400


def test_the_progress_of_goals_equals_the_history(big: Caller) -> None:
    account = big.account
    period = {"period.start": "2026-01-01", "period.end": "2026-06-15"}
    progress = {}
    for kind in ("company", "team", "person"):
        for goal in goals(big, **{"assignee.type": kind}):
            data = big.get(f"/v1/goals/{goal['id']}/results", **period)["data"]
            assert data["goal"] == goal
            progress[goal["type"]["name"]] = data["progress"]
    deals = [d for d in account.deals.records.values() if not (d.is_deleted or d.is_archived)]
    rates = {"BRL": 1, "USD": 5, "EUR": 5.5}
    won = [d for d in deals if d.status == "won" and (d.won_time or "") >= "2026-01-01T03"]
    assert progress["deals_won"] == pytest.approx(sum(d.value * rates[d.currency] for d in won), 1)
    started = [
        d for d in deals
        if d.add_time >= "2026-01-01T03" and d.owner_id in (1, 2, 3, 4)
        and account.deal_states[d.id][0].pipeline_id in (1, 2)
    ]  # fmt: skip
    assert progress["deals_started"] == len(started)
    made = account.activities.records.values()
    calls = [a for a in made if a.type == "call" and a.owner_id == 1 and not a.is_deleted
             and (a.marked_as_done_time or "") >= "2026-01-01T03"]  # fmt: skip
    assert progress["activities_completed"] == len(calls) > 0
    assert progress["activities_added"] > 0
    assert progress["deals_progressed"] > 0
    goal = goals(big)[0]["id"]
    for begin, end in (("2025-12-31", "2026-02-01"), ("2026-02-01", "2027-01-01")):
        query = {"period.start": begin, "period.end": end}
        assert big.reply(f"/v1/goals/{goal}/results", **query).status == 400
    assert big.reply("/v1/goals/none/results", **period).status == 404


def test_a_period_ends_before_the_last_day_of_the_calendar(big: Caller) -> None:
    period = {"start_date": "2026-05-01", "end_date": "9999-12-31"}
    reply = big.reply("/v1/pipelines/1/movement_statistics", **period)
    assert reply.status == 400
    assert b"end_date" in reply.body
