"""Totals that the API computes itself: an independent check for whoever adds up deals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipedrive_simulator.operations import query_params
from pipedrive_simulator.operations.operation import Operation
from pipedrive_simulator.operations.paging import v1_body

if TYPE_CHECKING:
    from pipedrive_simulator.operations.query_params import Request

# What one unit of a currency is worth in BRL: fixed, so that totals can be checked.
RATES_IN_BRL = {"BRL": 1.0, "USD": 5.0, "EUR": 5.5, "ARS": 0.005}
_STATUSES = ("open", "won", "lost")


def _summary(request: Request) -> bytes:
    account, query = request.account, request.query
    base = RATES_IN_BRL[account.base_currency]
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
        rate = RATES_IN_BRL.get(deal.currency, 1.0) / base
        empty = {"value": 0.0, "count": 0, "value_converted": 0.0}
        plain = totals.setdefault(deal.currency, empty)
        share = weighted.setdefault(deal.currency, {"value": 0.0, "count": 0})
        plain["value"] += deal.value
        plain["value_converted"] += deal.value * rate
        share["value"] += deal.value * chance / 100
        for entry in (plain, share):
            entry["count"] += 1
    converted = sum(entry["value_converted"] for entry in totals.values())
    weighted_converted = sum(
        entry["value"] * RATES_IN_BRL.get(code, 1.0) / base for code, entry in weighted.items()
    )
    for code, entry in totals.items():
        entry |= {
            "value_formatted": money(entry["value"], code),
            "value_converted_formatted": money(entry["value_converted"], account.base_currency),
        }
    for code, entry in weighted.items():
        entry["value_formatted"] = money(entry["value"], code)
    return v1_body(
        {
            "values_total": totals,
            "weighted_values_total": weighted,
            "total_count": count,
            "total_currency_converted_value": converted,
            "total_weighted_currency_converted_value": weighted_converted,
            "total_currency_converted_value_formatted": money(converted, account.base_currency),
            "total_weighted_currency_converted_value_formatted": money(
                weighted_converted, account.base_currency
            ),
        }
    )


def money(amount: float, currency: str) -> str:
    """Write an amount of money for people."""
    return f"{currency} {amount:,.2f}"


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
