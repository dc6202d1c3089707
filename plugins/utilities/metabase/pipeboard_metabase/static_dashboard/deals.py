"""The deals behind a figure: for each set of deals, a select for the database of the page."""

from __future__ import annotations

from importlib import resources
from typing import Any

from pipeboard_metabase.definitions import GRAINS, DealSet, Definitions

#: The tables of the lists in the database of the page, and the selects that fill them.
SOURCES = {
    name: resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    for name in ("deals", "visits", "product_lines", "customers")
}
#: Relations that the lists join, whether a card reads them or not.
JOINED = {
    ("marts", "dim_user"): {"user_id", "display_name", "team_name"},
    ("marts", "dim_pipeline"): {"pipeline_id", "display_name"},
    ("marts", "dim_stage"): {"stage_id", "pipeline_id", "display_name"},
    ("marts", "dim_product"): {"product_id", "display_name"},
    ("marts", "dim_date"): {"date_day", *GRAINS.values()},
    ("ops", "ops_account"): {"deal_url_prefix", "this_month"},
}
#: The columns of a list with their formats; the last is the address of the first.
COLUMNS = {
    "title": "text",
    "org_name": "text",
    "owner_name": "text",
    "pipeline_name": "text",
    "stage_name": "text",
    "deal_status": "text",
    "value_base": "money",
    "created_date": "date",
    "closed_date": "date",
    "deal_url": "url",
}
#: What a value of a card's row says about the deals behind it.
DIMENSIONS = {
    "owner_name": "owners.display_name",
    "pipeline_name": "pipelines.display_name",
    "stage_name": "stages.display_name",
    "origin": "deals.origin",
    "reason_group": "deals.reason_group",
    "days_in_stage": "deals.days_in_stage",
    "period": "coalesce(deals.expected_period, substr(deals.closed_date, 1, 7))",
}
MONTHS = ("month", "cohort_month")
#: How the tables are joined that count a deal several times. A visit is in the pipeline of its
#: stage, which need not be the deal's present one.
VIA = {
    "visits": """
    inner join visits on deals.deal_id = visits.deal_id
    inner join marts_dim_stage as visited on visits.stage_id = visited.stage_id
    inner join marts_dim_pipeline as visited_in on visited.pipeline_id = visited_in.pipeline_id""",
    "product_lines": """
    inner join product_lines as lines on deals.deal_id = lines.deal_id
    inner join marts_dim_product as products on lines.product_id = products.product_id""",
    "customers": """
    inner join customers on deals.deal_id = customers.deal_id""",
}
DIMENSIONS_VIA = {
    "visits": {"stage_name": "visited.display_name", "pipeline_name": "visited_in.display_name"},
    "product_lines": {"product_name": "products.display_name"},
    # Two customers may have one name, but hardly the same days too.
    "customers": {
        "customer_name": "coalesce(customers.other_name, deals.org_name)",
        "first_won_date": "customers.first_won_date",
        "last_won_date": "customers.last_won_date",
    },
}
SELECT = """
    select
        coalesce(replace(deals.title, char(1), deals.org_name), deals.title),
        deals.org_name,
        owners.display_name,
        pipelines.display_name,
        stages.display_name,
        deals.status,
        deals.value_base,
        deals.created_date,
        deals.closed_date,
        account.deal_url_prefix || deals.deal_id
    from deals
    cross join ops_ops_account as account
    left join marts_dim_user as owners on deals.{owner} = owners.user_id
    left join marts_dim_pipeline as pipelines on deals.pipeline_id = pipelines.pipeline_id
    left join marts_dim_stage as stages on deals.stage_id = stages.stage_id{via}
    where
        {where}{period}
        [[pipeline:and {pipeline} in (select value from json_each(:pipeline))]]
        [[owner:and owners.display_name in (select value from json_each(:owner))]]
        [[team:and owners.team_name in (select value from json_each(:team))]]
"""
START = " ".join(
    ["case :grain", *(f"when '{grain}' then {column}" for grain, column in GRAINS.items()), "end"]
)
PERIOD = f"""
        [[period:and {{day}} in (
            select date_day from marts_dim_date
            where {START} in (
                select {START} from marts_dim_date
                where date_day between :period_first and :period_last
            )
        )]]"""
ORDER = "order by deals.value_base desc nulls last, deals.deal_id"


def lists(definitions: Definitions) -> dict[str, Any]:
    """Return what web/src/types.ts calls Lists."""
    return {
        "columns": [{"name": name, "format": format_} for name, format_ in COLUMNS.items()],
        "order": ORDER,
        "sets": {key: _list(found) for key, found in definitions.deal_sets.items()},
    }


def _list(found: DealSet) -> dict[str, Any]:
    month = f"date(substr({found.date}, 1, 7) || '-01')"
    # A month of a visit has no day.
    day = month if found.via == "visits" else found.date
    period = PERIOD.format(day=day) if found.date else ""
    start = f"(select {START} from marts_dim_date where date_day = {day})"
    dates = {**dict.fromkeys(MONTHS, month), "period_start": start} if found.date else {}
    dimensions = {**DIMENSIONS, **DIMENSIONS_VIA.get(found.via or "", {}), **dates}
    return {
        "select": SELECT.format(
            owner=found.owner,
            where=found.where,
            period=period,
            via=VIA.get(found.via or "", ""),
            pipeline=dimensions["pipeline_name"],
        ),
        "dimensions": dimensions,
    }
