"""The deals behind a figure: for each set of deals, a select for the database of the page."""

from __future__ import annotations

from importlib import resources
from typing import Any

from pipeboard_metabase.definitions import DealSet, Definitions

#: The table of deals in the database of the page, and the select that fills it.
TABLE = "deals"
SOURCE = resources.files(__package__).joinpath("deals.sql").read_text(encoding="utf-8")
#: Relations that the lists join, whether a card reads them or not.
JOINED = {
    ("marts", "dim_user"): {"user_id", "display_name", "team_name"},
    ("marts", "dim_pipeline"): {"pipeline_id", "display_name"},
    ("marts", "dim_stage"): {"stage_id", "display_name"},
    ("marts", "dim_date"): {"date_day", "month_start"},
    ("ops", "ops_account"): {"deal_url_prefix"},
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
}
MONTHS = ("month", "cohort_month")
SELECT = """
    select
        deals.title,
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
    left join marts_dim_stage as stages on deals.stage_id = stages.stage_id
    where
        {where}{period}
        [[pipeline:and pipelines.display_name in (select value from json_each(:pipeline))]]
        [[owner:and owners.display_name in (select value from json_each(:owner))]]
        [[team:and owners.team_name in (select value from json_each(:team))]]
"""
PERIOD = """
        [[period:and deals.{month} in (
            select month_start from marts_dim_date
            where date_day between :period_first and :period_last
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
    period = PERIOD.format(month=found.month) if found.month else ""
    months = dict.fromkeys(MONTHS, f"deals.{found.month}") if found.month else {}
    return {
        "select": SELECT.format(owner=found.owner, where=found.where, period=period),
        "dimensions": {**DIMENSIONS, **months},
    }
