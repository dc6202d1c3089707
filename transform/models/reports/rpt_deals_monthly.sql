{#-
    Created and closed deals by month. Created deals count for their current owner, closed ones for the owner at
    closing. A view of sums: nothing has to be counted. int_counted_deals writes the sums.
-#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('int_counted_deals') }}
with created as (
    select
        month,
        pipeline_id,
        owner_id,
        sum(n_created) as n_created,
        sum(n_imported) as n_imported,
        sum(value_base) as value_base,
        sum(n_without_rate) as n_without_rate
    from {{ ref('int_created_deal_sums') }}
    group by month, pipeline_id, owner_id
),

closed_in_weeks as (
    select * from {{ ref('int_closed_deal_sums') }}
),

closed as (
    select
        month,
        pipeline_id,
        owner_id,
        sum(n_won) as n_won,
        sum(n_lost) as n_lost,
        sum(won_value_base) filter (where n_won_valued > 0) as won_value_base,
        sum(lost_value_base) as lost_value_base,
        sum(n_won_with_cycle) as n_won_with_cycle,
        sum(won_cycle_days) as won_cycle_days,
        sum(won_open_days) filter (where n_won_with_open_days > 0) as won_open_days,
        sum(n_won_without_rate) as n_won_without_rate,
        sum(n_without_rate) as n_without_rate
    from closed_in_weeks
    group by month, pipeline_id, owner_id
),

cycles as (
    select
        weeks.month,
        weeks.pipeline_id,
        weeks.owner_id,
        percentile_cont(0.5) within group (order by listed.days) as median_days
    from closed_in_weeks as weeks
    cross join lateral unnest(weeks.cycles) as listed (days)
    group by weeks.month, weeks.pipeline_id, weeks.owner_id
)

select
    coalesce(created.month, closed.month) as month,
    coalesce(created.pipeline_id, closed.pipeline_id) as pipeline_id,
    coalesce(created.owner_id, closed.owner_id) as owner_id,
    coalesce(created.n_created, 0)::integer as n_created,
    coalesce(created.n_imported, 0)::integer as n_imported,
    coalesce(created.value_base, 0) as created_value_base,
    coalesce(closed.n_won, 0)::integer as n_won,
    coalesce(closed.n_lost, 0)::integer as n_lost,
    coalesce(closed.n_won + closed.n_lost, 0)::integer as n_closed,
    coalesce(closed.won_value_base, 0) as won_value_base,
    coalesce(closed.lost_value_base, 0) as lost_value_base,
    {{ ratio('closed.n_won', 'closed.n_won + closed.n_lost') }} as win_rate_by_close_date,
    {{ ratio(
        'coalesce(closed.won_value_base, 0)',
        'coalesce(closed.won_value_base, 0) + coalesce(closed.lost_value_base, 0)'
    ) }} as win_rate_value_weighted,
    round(closed.won_value_base / nullif(closed.n_won, 0), 2) as avg_won_value_base,
    coalesce(closed.n_won_with_cycle, 0)::integer as n_won_with_cycle,
    coalesce(closed.won_cycle_days, 0) as won_cycle_days,
    round(closed.won_cycle_days / nullif(closed.n_won_with_cycle, 0), 2) as avg_cycle_days,
    round(closed.won_open_days / nullif(closed.n_won_with_cycle, 0), 2) as avg_active_cycle_days,
    round(cycles.median_days::numeric, 2) as median_cycle_days,
    coalesce(created.n_without_rate, 0)::integer as created_deals_without_rate,
    coalesce(closed.n_won_without_rate, 0)::integer as won_deals_without_rate,
    coalesce(closed.n_without_rate, 0)::integer as deals_without_rate
from created
full join closed
    on
        created.month = closed.month
        and created.pipeline_id = closed.pipeline_id
        and created.owner_id = closed.owner_id
left join cycles
    on
        closed.month = cycles.month
        and closed.pipeline_id = cycles.pipeline_id
        and closed.owner_id = cycles.owner_id
