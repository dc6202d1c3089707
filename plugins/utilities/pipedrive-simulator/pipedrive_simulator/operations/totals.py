"""Totals that the API computes itself, to check sums over deals."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation
from pipedrive_simulator.operations.paging import v1_body

if TYPE_CHECKING:
    from pipedrive_simulator.account.state import AccountState
    from pipedrive_simulator.operations.query_params import Request

#: Value of one unit of a currency in BRL: constant, so that totals can be checked.
RATES_IN_BRL = {"BRL": 1.0, "USD": 5.0, "EUR": 5.5, "ARS": 0.005}
_STATUSES = ("open", "won", "lost")


def _summary(request: Request) -> bytes:
    account, query = request.account, request.query
    names = ("status", "pipeline_id", "stage_id")
    wanted: dict[str, Any] = {name: query[name] for name in names if name in query}
    if "user_id" in query:
        wanted["owner_id"] = query["user_id"]
    totals: dict[str, dict[str, Any]] = {}
    weighted: dict[str, dict[str, Any]] = {}
    count = 0
    for deal in account.deals.all_records():
        if deal.is_deleted or deal.is_archived:
            continue
        if any(getattr(deal, name) != value for name, value in wanted.items()):
            continue
        count += 1
        stage = account.stages.get(deal.stage_id)
        chance = deal.probability
        if chance is None:
            chance = 100 if stage is None else stage.deal_probability
        rate = exchange_rate(deal.currency, account.base_currency)
        empty = {"value": 0.0, "count": 0, "value_converted": 0.0}
        plain = totals.setdefault(deal.currency, empty)
        share = weighted.setdefault(deal.currency, {"value": 0.0, "count": 0})
        plain["value"] += deal.value
        plain["value_converted"] += deal.value * rate
        share["value"] += deal.value * chance / 100
        for entry in (plain, share):
            entry["count"] += 1
    converted = round(sum(entry["value_converted"] for entry in totals.values()), 2)
    weighted_converted = round(
        sum(
            entry["value"] * exchange_rate(code, account.base_currency)
            for code, entry in weighted.items()
        ),
        2,
    )
    base = account.base_currency
    for code, entry in totals.items():
        entry |= {name: round(entry[name], 2) for name in ("value", "value_converted")}
        entry["value_formatted"] = money(account, entry["value"], code)
        entry["value_converted_formatted"] = money(account, entry["value_converted"], base)
    for code, entry in weighted.items():
        entry["value"] = round(entry["value"], 2)
        entry["value_formatted"] = money(account, entry["value"], code)
    return v1_body(
        {
            "values_total": totals,
            "weighted_values_total": weighted,
            "total_count": count,
            "total_currency_converted_value": converted,
            "total_weighted_currency_converted_value": weighted_converted,
            "total_currency_converted_value_formatted": money(account, converted, base),
            "total_weighted_currency_converted_value_formatted": money(
                account, weighted_converted, base
            ),
        }
    )


def exchange_rate(currency: str, base: str) -> float:
    """Return units of ``base`` for one unit; 0.0 for a currency without a rate (in no total)."""
    if currency == base:
        return 1.0
    return RATES_IN_BRL.get(currency, 0.0) / RATES_IN_BRL.get(base, inf)


def money(account: AccountState, amount: float, currency: str) -> str:
    """Format an amount of money with the account's symbol of the currency."""
    symbols = {c.code: c.symbol for c in account.currencies.records.values()}
    return f"{symbols.get(currency, currency)}{amount:,.2f}"


OPERATIONS = (
    Operation(
        "getDealsSummary",
        "v1",
        "/deals/summary",
        40,
        _summary,
        {
            "status": query_params.one_of(*_STATUSES),
            **dict.fromkeys(
                ("filter_id", "user_id", "pipeline_id", "stage_id"), query_params.integer
            ),
        },
    ),
)
