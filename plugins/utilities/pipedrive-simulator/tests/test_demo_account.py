"""What the generated account has, so that every report of the demo has something to show."""

from __future__ import annotations

from collections import Counter

import pytest
from pipedrive_simulator.account.account import Account
from pipedrive_simulator.clock import to_seconds
from pipedrive_simulator.generator.reference_data import LEFT_DAYS
from simulator_helpers import make_account


@pytest.fixture(scope="module")
def account() -> Account:
    return make_account(deals=1000)


def test_a_third_of_the_leads_becomes_a_later_deal(account: Account) -> None:
    leads = account.leads.records
    converted = {
        deal.source_lead_id: deal for deal in account.deals.records.values() if deal.source_lead_id
    }
    assert 0.25 < len(converted) / len(leads) < 0.4
    for lead_id, deal in converted.items():
        assert to_seconds(leads[lead_id].add_time) < to_seconds(deal.add_time)
        assert leads[lead_id].is_archived
    assert {deal.status for deal in converted.values()} >= {"won", "lost"}


def test_a_stage_name_is_used_in_two_pipelines(account: Account) -> None:
    names = Counter(stage.name for stage in account.stages.records.values())
    assert {name for name, count in names.items() if count > 1} == {"Apresentação"}


def test_product_lines_with_a_discount_add_up(account: Account) -> None:
    lines = [line for line in account.deal_products.records.values() if line.discount]
    assert lines
    for line in lines:
        price = line.item_price * line.quantity * (1 - line.discount / 100)
        assert price == pytest.approx(line.sum, abs=0.01)


def test_owners_leave_and_customers_return_after_a_year(account: Account) -> None:
    assert not all(user.active_flag for user in account.users.records.values())
    won: dict[int, list[int]] = {}
    for deal in account.deals.records.values():
        if deal.org_id and deal.won_time:
            won.setdefault(deal.org_id, []).append(to_seconds(deal.won_time))
    gaps = [
        later - earlier
        for times in won.values()
        for earlier, later in zip(sorted(times), sorted(times)[1:], strict=False)
    ]
    assert max(gaps) > 365 * 86_400


def test_an_owner_who_left_gets_no_new_deals(account: Account) -> None:
    left = {user.id for user in account.users.records.values() if not user.active_flag}
    created = {
        owner: [deal.add_time for deal in account.deals.records.values() if deal.owner_id == owner]
        for owner in left
    }
    end = account.clock.seconds() - LEFT_DAYS * 86_400
    assert all(created.values())
    # One that another user handed over before may have been created later than most.
    assert all(to_seconds(max(times)) < end for times in created.values())


def test_some_goals_are_reached_and_others_missed(account: Account) -> None:
    monthly = next(g for g in account.goals.records.values() if g.title == "Faturamento")
    won: Counter[str] = Counter()
    for deal in account.deals.records.values():
        if deal.won_time and deal.currency == "BRL":
            won[deal.won_time[:7]] += deal.value
    target = monthly.expected_outcome["target"]
    reached = [total / target for total in won.values()]
    assert max(reached) > 0.7
    assert min(reached) < 0.9
    assert max(reached) < 2
