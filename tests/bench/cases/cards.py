"""Every card of the dashboards, on marts of at most 100,000 deals: how long does its select take?

The warehouse is the one that the case `dbt` left behind if it has the right size, else it is built.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date, timedelta
from statistics import median
from typing import Any

import psycopg
from pipeboard_metabase.definitions import GRAIN, Card, load
from pipeboard_metabase.sql import Between, Value, render

from bench.bench_env import Account, BenchEnv
from bench.cases import dbt
from bench.measuring import BenchError, step

TITLE = "cards"
DEALS = 100_000
REPEAT = 3
#: A card that takes longer than this is not what a dashboard should wait for.
LIMIT_SECONDS = 1.0
#: Cards that are printed at once, the slowest first; the report has all.
SHOWN = 10


def measure(env: BenchEnv) -> list[dict[str, Any]]:
    """Ask each card without a filter, with each of its filters set, and with all of them."""
    deals = max(min(env.scale, DEALS), dbt.SEEDS)
    with env.another_account(min(deals, dbt.SEEDS)) as account:
        if not has_marts(env, deals):
            build(env, account, deals)
        with step("reconciliation, which a sync leaves to a job of its own"):
            dbt.build(env, account, "reconcile")
    # A sync reads no teams unless it is told to.
    env.server.execute("update marts.dim_user set team_name = 'Team ' || user_id % 3")
    samples = []
    with psycopg.connect(env.server.url, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = on")
        chosen = choices(connection)
        cards = load().cards.values()
        with step(f"{len(cards)} cards, {deals:,} deals"):
            for card in cards:
                times = {
                    name: ask(connection, card, values)["seconds"]
                    for name, values in settings(card, chosen).items()
                }
                slowest = max(times, key=times.__getitem__, default=None)
                samples.append(
                    {
                        **{"card": card.key, "dashboard": card.folder, "deals": deals},
                        **ask(connection, card, {}),
                        "filtered_seconds": times[slowest] if slowest else None,
                        "slowest_filter": slowest,
                    }
                )
    for sample in sorted(samples, key=worst, reverse=True)[:SHOWN]:
        print(
            f"  {worst(sample) * 1000:7,.0f} ms  {sample['card']}  {sample['slowest_filter'] or ''}"
        )
    return samples


def settings(card: Card, chosen: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Return each filter of a card alone, each length of its periods, and all filters at once."""
    filters = {key: chosen[key] for key in card.filters}
    found: dict[str, dict[str, Value]] = {key: {key: value} for key, value in filters.items()}
    for grain in card.grains:
        found[f"by {grain}"] = {**filters, GRAIN: [grain]}
    return {**found, "all": filters} if filters else found


def worst(sample: Mapping[str, Any]) -> float:
    """Return the longer of its two times."""
    return float(max(sample["seconds"], sample["filtered_seconds"] or 0))


def has_marts(env: BenchEnv, deals: int) -> bool:
    """Tell whether a case before this one left marts of that many deals, give or take a tenth."""
    if not env.server.columns("ops", "ops_account"):
        return False
    return abs(env.server.count("marts", "fct_deal") - deals) < deals / 10


def build(env: BenchEnv, account: Account, deals: int) -> None:
    """Make marts of that many deals, as the case `dbt` does."""
    env.server.drop(*dbt.SCHEMAS)
    dbt.fill(env, account, deals)
    with step(f"dbt build, {deals:,} deals"):
        dbt.build(env, account)


def choices(connection: psycopg.Connection[Any]) -> dict[str, Value]:
    """Return values that many rows have, one for each filter."""

    def one(query: str) -> Any:
        row = connection.execute(query.encode()).fetchone()
        if row is None:
            message = f"the marts have no value to filter by: {query}"
            raise BenchError(message)
        return row[0]

    today: date = one("select today from ops.ops_account")
    most = "group by 1 order by count(*) desc limit 1"
    year = Between(today - timedelta(days=365), today)
    return {
        **dict.fromkeys(("period", "created", "won", "lost"), year),
        "pipeline": [
            one(
                "select p.display_name from marts.dim_pipeline as p "
                f"join marts.fct_deal as d on p.pipeline_id = d.pipeline_id {most}"
            )
        ],
        "stage": [
            one(
                "select s.display_name from marts.dim_stage as s "
                f"join marts.fct_deal as d on s.stage_id = d.stage_id {most}"
            )
        ],
        "owner": [
            one(
                "select u.display_name from marts.dim_user as u "
                f"join marts.fct_deal as d on u.user_id = d.owner_id {most}"
            )
        ],
        "team": [one(f"select team_name from marts.dim_user where team_name <> '' {most}")],
        "label": [one(f"select label from marts.fct_deal_label {most}")],
        "field": [
            one(
                "select display_name from marts.dim_custom_field where entity = 'deal' "
                "and field_type in ('enum', 'set') order by n_filled desc limit 1"
            )
        ],
    }


def ask(
    connection: psycopg.Connection[Any], card: Card, values: Mapping[str, Value]
) -> dict[str, Any]:
    """Run a card's select; the median of its times counts."""
    text, parameters = render(card, values)
    times = []
    for _ in range(REPEAT):
        began = time.perf_counter()
        rows = connection.execute(text.encode(), parameters).fetchall()
        times.append(time.perf_counter() - began)
    return {"rows": len(rows), "seconds": median(times)}
