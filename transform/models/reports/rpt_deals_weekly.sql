{#-
    Created and closed deals by ISO week, for trends of weeks: weeks cross the ends of months. Deals count as in
    rpt_deals_monthly. A view of sums: nothing has to be counted. int_counted_deals writes the sums.
-#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('int_counted_deals') }}
with sums as (
    select
        week,
        pipeline_id,
        owner_id,
        n_created,
        0 as n_won,
        0 as n_lost,
        0 as won_value_base,
        0 as n_without_rate
    from {{ ref('int_created_deal_sums') }}
    union all
    select
        week,
        pipeline_id,
        owner_id,
        0 as n_created,
        n_won,
        n_lost,
        won_value_base,
        n_won_without_rate as n_without_rate
    from {{ ref('int_closed_deal_sums') }}
)

select
    week,
    pipeline_id,
    owner_id,
    sum(n_created)::integer as n_created,
    sum(n_won)::integer as n_won,
    sum(n_lost)::integer as n_lost,
    sum(won_value_base) as won_value_base,
    sum(n_without_rate)::integer as deals_without_rate
from sums
group by week, pipeline_id, owner_id
