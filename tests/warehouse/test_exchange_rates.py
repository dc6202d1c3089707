"""Rates from Pipedrive's own totals: where they apply, how exact they are, what has none."""

# ruff: noqa: E501 (SQL has a width of its own)
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from conftest import NewWarehouse
from pipedrive_simulator.operations import totals
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from warehouse_helpers import BUILD, Warehouse

STREAMS = (
    "deals", "deal_changelog", "deal_changelog_sync", "pipelines", "stages", "users", "deal_fields",
    "currencies",
)  # fmt: skip
#: What Pipedrive converts, and the currency that it has no rate for.
CONVERTED, UNKNOWN = {"USD", "EUR", "ARS"}, "XAU"


@dataclass
class Company:
    warehouse: Warehouse
    simulator: RunningSimulator

    def sync(self, *more: str) -> None:
        source = {"api_url": self.simulator.url, "api_token": self.simulator.token}
        self.warehouse.sync(source, (*STREAMS, *more))

    def counted_deals(self) -> list[Any]:
        records = self.simulator.account.deals.records.values()
        return [d for d in records if not d.is_deleted]

    def of(self, currencies: set[str], status: str) -> int:
        return sum(d.currency in currencies and d.status == status for d in self.counted_deals())

    def left_out(self) -> dict[str, int]:
        """What each report says it leaves out, all its rows together."""
        counts = {
            "created": "select sum(created_deals_without_rate) from marts.rpt_deals_monthly",
            "won": "select sum(won_deals_without_rate) from marts.rpt_deals_monthly",
            "closed": "select sum(deals_without_rate) from marts.rpt_deals_monthly",
            "open": "select sum(deals_without_rate) from marts.rpt_pipeline_now",
            "open list": "select count(*) from marts.rpt_open_deals where fx_missing",
            "forecast": "select sum(open_deals_without_rate) from marts.rpt_forecast",
            "lost": "select sum(deals_without_rate) from marts.rpt_lost_reasons",
            "sources": "select sum(deals_without_rate) from marts.rpt_sources_monthly",
            "owners": "select sum(deals_without_rate) from marts.rpt_owner_scorecard",
            "currencies": "select coalesce(sum(deals_without_rate), 0) from marts.rpt_exchange_rates",
        }
        return {name: int(self.warehouse.rows(query)[0][0]) for name, query in counts.items()}

    def expected_left_out(self, currencies: set[str]) -> dict[str, int]:
        is_open, won, lost = (self.of(currencies, s) for s in ("open", "won", "lost"))
        return {
            "created": is_open + won + lost, "won": won, "closed": won + lost, "open": is_open,
            "open list": is_open, "forecast": is_open, "lost": lost, "sources": won, "owners": won,
            "currencies": is_open + won + lost,
        }  # fmt: skip


@pytest.fixture(scope="module")
def company(new_warehouse: NewWarehouse) -> Iterator[Company]:
    """An account with deals in five currencies, built once before its totals were ever read."""
    warehouse = new_warehouse("exchange_rates")
    with running_simulator(deals=60, seed=3) as simulator:
        account = simulator.account
        stages = sorted(account.stages.records)
        for nr, currency in enumerate(("USD", "EUR", "ARS", UNKNOWN) * 3):
            for status in ("open", "won", "lost"):
                deal = account.create_deal(
                    stage_id=stages[0], currency=currency, value=1_000 * (nr + 1) + 0.37
                )
                if status == "won":
                    account.win_deal(deal.id)
                elif status == "lost":
                    account.lose_deal(deal.id, "Preço")
        account.advance_clock(600)
        company = Company(warehouse, simulator)
        company.sync()
        warehouse.build(*BUILD)
        yield company


def test_without_a_rate_every_figure_counts_what_it_leaves_out(company: Company) -> None:
    left_out = company.left_out()
    assert left_out == company.expected_left_out({*CONVERTED, UNKNOWN})
    assert min(left_out.values()) > 0
    remedies = company.warehouse.rows("select distinct remedy from marts.rpt_exchange_rates")
    assert remedies == [("read deal_summary_daily, or add the rate to seeds/fx_rates.csv",)]


@pytest.mark.long
def test_rates_of_pipedrive_apply_once_they_are_read(company: Company) -> None:
    """Days before the first reading go by it, too, and say so."""
    company.sync("deal_summary_daily")
    company.warehouse.build("run", "--exclude", "tag:reconciliation")
    rates = company.warehouse.rows(
        "select currency, rate, is_backdated from intermediate.int_fx_rates where source = 'pipedrive'"
        " order by 1, 3"
    )
    known = totals.RATES_IN_BRL
    assert [(c, b) for c, _, b in rates] == [
        (c, b) for c in sorted(CONVERTED) for b in (False, True)
    ]
    assert all(rate == Decimal(str(known[currency])) for currency, rate, _ in rates)
    assert company.left_out() == company.expected_left_out({UNKNOWN})
    assert company.warehouse.rows(
        "select currency, deals_without_rate > 0, remedy from marts.rpt_exchange_rates order by 1"
    ) == [
        ("ARS", False, "none"), ("EUR", False, "none"), ("USD", False, "none"),
        (UNKNOWN, True, "add the rate to seeds/fx_rates.csv"),
    ]  # fmt: skip
    marked = company.warehouse.rows(
        "select bool_and(fx_is_backdated = (close_date_local < fx_date)), bool_or(fx_is_backdated),"
        " bool_and(fx_source = 'pipedrive') from marts.fct_deal"
        f" where currency = any('{{{','.join(CONVERTED)}}}') and status <> 'open' and not is_deleted"
    )
    assert marked == [(True, True, True)]


@pytest.mark.long
def test_sums_agree_with_pipedrives_converted_totals(company: Company) -> None:
    """The rate is of today, like Pipedrive's: each deal is rounded to a hundredth, no more."""
    account = company.simulator.account
    warehouse_rows = company.warehouse.rows(
        "select currency, status, sum(value_base), count(*) from marts.fct_deal"
        " where not is_deleted and not is_archived group by 1, 2"
    )
    compared = 0
    for currency, status, value_base, deals in warehouse_rows:
        expected = sum(
            d.value * totals.exchange_rate(d.currency, account.base_currency)
            for d in company.counted_deals()
            if not d.is_archived and (d.currency, d.status) == (currency, status)
        )
        if currency == UNKNOWN:
            assert value_base is None
            continue
        compared += 1
        assert float(value_base) == pytest.approx(expected, abs=0.005 * deals + 0.01)
    assert compared >= 12


@pytest.mark.long
def test_each_day_keeps_its_rate_and_the_seed_has_precedence(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(totals.RATES_IN_BRL, "USD", 5.25)
    account = company.simulator.account
    account.advance_clock(86_400)
    open_deal = max(d.id for d in company.counted_deals() if d.status == "open")
    account.move_deal(open_deal, sorted(account.stages.records)[1])
    company.sync("deal_summary_daily")
    query = (
        "select rate, source, is_backdated, valid_to = 'infinity' from intermediate.int_fx_rates"
        " where currency = 'USD' order by valid_from"
    )
    rows_before = [
        (Decimal(5), "pipedrive", True, False),
        (Decimal(5), "pipedrive", False, False),
        (Decimal("5.25"), "pipedrive", False, True),
    ]
    rates = ("int_fx_rates_seeded", "int_fx_rates_pipedrive", "int_fx_rates")
    company.warehouse.build("run", "--select", "+fct_deal")
    assert company.warehouse.rows(query) == rows_before
    prices = "select fx_rate from marts.fct_deal where currency = 'USD' and not is_deleted and status = '{}'"
    assert set(company.warehouse.rows(prices.format("won"))) == {(Decimal(5),)}
    assert set(company.warehouse.rows(prices.format("open"))) == {(Decimal("5.25"),)}
    company.warehouse.build("run", "--full-refresh", "--select", *rates)
    assert company.warehouse.rows(query) == rows_before, "history is in the raw table"

    company.warehouse.write(
        "insert into intermediate.fx_rates (rate_date, from_currency, to_currency, rate)"
        " select rate_date, 'USD', 'BRL', 4 from intermediate.int_fx_rates"
        " where currency = 'USD' and rate = 5.25 and source = 'pipedrive'"
    )
    company.warehouse.build("run", "--select", *rates)
    assert company.warehouse.rows(query) == [*rows_before[:2], (Decimal(4), "seed", False, True)]
    assert set(company.warehouse.rows(prices.format("open"))) == {(Decimal(4),)}
