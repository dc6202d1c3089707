"""On public CRM data, the marts say what a few lines of Python say from the CSV files."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import NewWarehouse
from pipedrive_simulator.testing import running_simulator
from warehouse_helpers import ROOT, Warehouse

CRM = Path(os.environ.get("PIPEBOARD_CRM_DIR", ROOT.parent / "shared" / "data" / "crm"))
STREAMS = (
    "deals", "organizations", "products", "deal_products", "pipelines", "stages", "users",
    "deal_fields", "organization_fields", "product_fields",
)  # fmt: skip

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not CRM.is_dir(),
        reason="no CRM files: set PIPEBOARD_CRM_DIR to the folder of the four CSVs",
    ),
]


def table(name: str) -> list[dict[str, str]]:
    with (CRM / f"{name}.csv").open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def closed() -> list[dict[str, str]]:
    """Opportunities won or lost, with the manager and sector they belong to."""
    managers = {row["sales_agent"]: row["manager"] for row in table("sales_teams")}
    sectors = {row["account"]: row["sector"] for row in table("accounts")}
    return [
        {**row, "manager": managers[row["sales_agent"]], "sector": sectors.get(row["account"], "")}
        for row in table("sales_pipeline")
        if row["deal_stage"] in ("Won", "Lost")
    ]


@pytest.fixture(scope="module")
def warehouse(new_warehouse: NewWarehouse) -> Warehouse:
    warehouse: Warehouse = new_warehouse(
        "crm", PIPEBOARD_BASE_CURRENCY="USD", PIPEBOARD_REPORTING_TIMEZONE="UTC"
    )
    with running_simulator(kind="csv", csv_dir=CRM) as simulator:
        source = {"api_url": simulator.url, "api_token": simulator.token, "changelog_mode": "off"}
        warehouse.sync(source, STREAMS)
    warehouse.build("run", "--select", "+rpt_deals_monthly", "+deal_wide", "+fct_deal_product")
    return warehouse


def test_totals_equal_the_published_ones(warehouse: Warehouse) -> None:
    facts = warehouse.rows(
        "select count(*), count(*) filter (where status = 'won'), "
        "sum(value) filter (where status = 'won')::bigint, "
        "count(*) filter (where status = 'lost'), count(*) filter (where status = 'open') "
        "from marts.fct_deal"
    )
    assert facts == [(8_800, 4_238, 10_005_534, 2_473, 2_089)]
    quarters = warehouse.rows(
        "select count(*) from marts.fct_deal where status = 'won' "
        "and close_time >= '2017-01-01' and close_time < '2018-01-01' "
        "group by date_trunc('quarter', close_time at time zone 'UTC') "
        "order by date_trunc('quarter', close_time at time zone 'UTC')"
    )
    assert [count for (count,) in quarters] == [531, 1_254, 1_257, 1_196]


def revenue(rows: list[dict[str, str]], key: str) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for row in rows:
        if row["deal_stage"] == "Won":
            sums["".join(row[key].split())] += float(row["close_value"])
    return dict(sums)


def query_result(warehouse: Warehouse, query: str) -> dict[str, float]:
    found: list[tuple[Any, ...]] = warehouse.rows(query)
    return {"".join(str(name or "").split()): float(value) for name, value in found}


def test_win_rate_and_cycle_time(warehouse: Warehouse, closed: list[dict[str, str]]) -> None:
    won = [row for row in closed if row["deal_stage"] == "Won"]
    days = [
        (date.fromisoformat(r["close_date"]) - date.fromisoformat(r["engage_date"])).days
        for r in won
    ]
    ((n_won, n_closed, cycle_days, n_cycles),) = warehouse.rows(
        "select sum(n_won), sum(n_closed), sum(won_cycle_days), sum(n_won_with_cycle) "
        "from marts.rpt_deals_monthly"
    )
    assert (n_won, n_closed) == (len(won), len(closed))
    assert float(cycle_days) / n_cycles == pytest.approx(sum(days) / len(days), abs=1e-6)


def test_win_rate_per_agent(warehouse: Warehouse, closed: list[dict[str, str]]) -> None:
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for row in closed:
        outcomes["".join(row["sales_agent"].split())].append(row["deal_stage"] == "Won")
    found = query_result(
        warehouse,
        "select users.name, sum(n_won)::numeric / sum(n_closed) from marts.rpt_deals_monthly "
        "join marts.dim_user as users on users.user_id = owner_id "
        "group by users.name having sum(n_closed) > 0",
    )
    assert found == pytest.approx({a: sum(o) / len(o) for a, o in outcomes.items()}, abs=1e-9)


def test_revenue_by_quarter(warehouse: Warehouse, closed: list[dict[str, str]]) -> None:
    for row in closed:
        day = date.fromisoformat(row["close_date"])
        row["quarter"] = f"{day.year}-Q{(day.month + 2) // 3}"
    found = query_result(
        warehouse,
        "select to_char(month, 'YYYY-\"Q\"Q'), sum(won_value_base) from marts.rpt_deals_monthly "
        "where n_won > 0 group by 1",
    )
    assert found == pytest.approx(revenue(closed, "quarter"))


@pytest.mark.parametrize(
    ("key", "query"),
    [
        ("sales_agent", "select owner_name, sum(value_base) from marts.deal_wide {won}"),
        ("manager", "select cf_manager, sum(value_base) from marts.deal_wide {won}"),
        (
            "product",
            "select products.name, sum(line_sum_base) from marts.fct_deal_product "
            "join marts.dim_product as products using (product_id) "
            "join marts.deal_wide using (deal_id) {won}",
        ),
        (
            "sector",
            "select options.label, sum(value_base) from marts.deal_wide "
            "left join pipedrive.organizations on organizations.id = deal_wide.org_id "
            "left join intermediate.int_custom_field_registry as registry "
            "on registry.entity = 'organization' and registry.label_when_published = 'Sector' "
            "left join intermediate.int_field_options as options "
            "on options.entity = 'organization' and options.field_code = registry.field_code "
            "and options.option_id = organizations.custom_fields ->> registry.field_code {won}",
        ),
    ],
)
def test_revenue(warehouse: Warehouse, closed: list[dict[str, str]], key: str, query: str) -> None:
    found = query_result(warehouse, query.format(won="where status = 'won' group by 1"))
    assert found == pytest.approx(revenue(closed, key))
