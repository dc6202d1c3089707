"""The five questions of the demo, as SQL on the marts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from pipeboard.database_url import DatabaseUrl

# Values of one currency are summed; of several, only in the base currency.
MONEY = """
    coalesce(round(case when count(distinct currency) > 1 then sum(value_base)
                        else sum(value) end), 0)::bigint as value,
    case when count(distinct currency) = 1 then max(currency)
         else coalesce((
             select base.currency from marts.fct_deal as base
             where base.fx_rate = 1 group by 1 order by count(*) desc limit 1
         ), 'base') end as currency
"""

WIN_RATE = """
    select period, won, lost, round(100.0 * won / nullif(won + lost, 0), 1)::float as "win rate %"
    from (
        select 'all time' as period, 1 as nr,
               count(*) filter (where status = 'won') as won,
               count(*) filter (where status = 'lost') as lost
        from marts.fct_deal
        where not is_deleted
        union all
        select 'last 90 days', 2,
               count(*) filter (where status = 'won'),
               count(*) filter (where status = 'lost')
        from marts.fct_deal
        where not is_deleted
          and close_time > (select max(update_time) from marts.fct_deal) - interval '90 days'
    ) as closed
    order by nr
"""

OPEN_PIPELINE = f"""
    select coalesce(pipelines.name, '?') as pipeline, coalesce(stages.name, '?') as stage,
           count(*) as deals, {MONEY}
    from marts.fct_deal as deals
    left join marts.dim_stage as stages using (stage_id)
    left join marts.dim_pipeline as pipelines on deals.pipeline_id = pipelines.pipeline_id
    where deals.status = 'open' and not deals.is_deleted
    group by pipelines.name, stages.name, deals.pipeline_id, stages.stage_rank, deals.stage_id
    order by deals.pipeline_id, stages.stage_rank nulls last, deals.stage_id
"""

DAYS_IN_STAGE = """
    select coalesce(pipelines.name, '?') as pipeline, coalesce(stages.name, '?') as stage,
           count(*) as stays,
           round((percentile_cont(0.5) within group (order by history.duration_days))::numeric, 1)
               ::float as "median days"
    from marts.fct_deal_stage_history as history
    join marts.dim_stage as stages using (stage_id)
    left join marts.dim_pipeline as pipelines on stages.pipeline_id = pipelines.pipeline_id
    where history.status = 'open' and history.valid_to is not null
    group by pipelines.name, stages.name, stages.pipeline_id, stages.stage_rank, stage_id
    order by stages.pipeline_id, stages.stage_rank nulls last, stage_id
"""

LOST_REASONS = f"""
    select coalesce(nullif(trim(lost_reason), ''), '(none given)') as reason,
           count(*) as deals, {MONEY}
    from marts.fct_deal
    where status = 'lost' and not is_deleted
    group by 1
    order by deals desc, reason
    limit 5
"""

# The field with options that most deals have filled in.
CUSTOM_FIELD = """
    select column_name, label_when_published
    from intermediate.int_custom_field_registry as registry
    where entity = 'deal' and field_type = 'enum'
      and exists (
          select from pg_attribute
          where attrelid = 'marts.deal_wide'::regclass
            and attname = registry.column_name and not attisdropped
      )
    order by first_seen_at, column_name
    limit 1
"""
CUSTOM_VALUES = f"""
    select coalesce({{column}}::text, '(empty)') as {{label}}, count(*) as deals,
           count(*) filter (where status = 'won') as won, {MONEY}
    from marts.deal_wide
    where not is_deleted
    group by 1
    order by deals desc, 1
    limit 6
"""


@dataclass(frozen=True)
class QueryResult:
    """One question and the table that results it."""

    question: str
    header: list[str]
    rows: Sequence[Sequence[object]]


def run_queries(database: DatabaseUrl) -> list[QueryResult]:
    """Run all queries."""
    with psycopg.connect(database.url, connect_timeout=10) as connection:
        connection.read_only = True
        results = [
            _run_query(connection, "How many deals do we win?", WIN_RATE),
            _run_query(connection, "What is open, by stage?", OPEN_PIPELINE),
            _run_query(connection, "How long does a deal stay in a stage?", DAYS_IN_STAGE),
            _run_query(connection, "Why do we lose?", LOST_REASONS),
        ]
        field = connection.execute(CUSTOM_FIELD).fetchone()
        if field:
            column, label = field
            query = sql.SQL(CUSTOM_VALUES).format(
                column=sql.Identifier(column), label=sql.Identifier(label)
            )
            results.append(_run_query(connection, f"Deals by custom field “{label}”", query))
    return results


def _run_query(
    connection: psycopg.Connection, question: str, query: str | sql.Composed
) -> QueryResult:
    cursor = connection.execute(query)
    header = [column.name for column in cursor.description or []]
    return QueryResult(question, header, cursor.fetchall())
