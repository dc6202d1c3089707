{#-
    The forecast of each day: one set of rows a day, added once and never changed, so that a forecast can be
    compared with the result. It cannot be recomputed, so a full refresh does not change it.
-#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    full_refresh=false,
    on_schema_change='append_new_columns',
    indexes=[{'columns': ['as_of_date']}]
) }}
with clock as (
    select
        as_of,
        {{ local_date('as_of') }} as today,
        {{ month_of(local_date('as_of')) }} as this_month
    from {{ ref('int_warehouse_clock') }}
),

{% if is_incremental() -%}
is_new_day as (
    select clock.today > coalesce((select max(taken.as_of_date) from {{ this }} as taken), '-infinity') as is_one
    from clock
),

{% endif -%}
deals as (
    select
        deals.*,
        clock.today,
        clock.this_month,
        stages.win_probability
    from {{ ref('int_counted_deals') }} as deals
    left join {{ ref('rpt_stage_win_probability') }} as stages on deals.stage_id = stages.stage_id
    cross join clock
    {% if is_incremental() -%}
    -- known before any deal is read: on a day with a snapshot, no deal is read
    where (select is_new_day.is_one from is_new_day)
    {%- endif %}
),

expected as (
    select
        case
            when expected_close_date is null then 'no date'
            when expected_close_date < today then 'overdue'
            else to_char(expected_close_date, 'YYYY-MM')
        end as period,
        case when expected_close_date >= today then {{ month_of('expected_close_date') }} end as period_start,
        pipeline_id,
        owner_id,
        count(*) as n_open,
        sum(value_base) as open_value_base,
        sum(weighted_value_base) as weighted_value_base,
        sum(round(value_base * win_probability, 2)) as historic_weighted_value_base,
        sum(value_base) filter (where effective_prob >= {{ var('commit_probability') }}) as commit_value_base,
        0 as n_won,
        0 as won_value_base,
        {{ deals_without_rate() }} as deals_without_rate
    from deals
    where is_open
    group by period, period_start, pipeline_id, owner_id
),

-- This month to date, and the previous month, so that its end is recorded.
won as (
    select
        to_char(closed_month, 'YYYY-MM') as period,
        closed_month as period_start,
        pipeline_id,
        closing_owner_id as owner_id,
        0 as n_open,
        0 as open_value_base,
        0 as weighted_value_base,
        0 as historic_weighted_value_base,
        0 as commit_value_base,
        count(*) as n_won,
        sum(value_base) as won_value_base,
        {{ deals_without_rate() }} as deals_without_rate
    from deals
    where is_won and closed_month >= this_month - interval '1 month'
    group by closed_month, pipeline_id, closing_owner_id
),

unioned as (
    select * from expected
    union all
    select * from won
)

select
    clock.today as as_of_date,
    unioned.period,
    unioned.period_start,
    coalesce(unioned.pipeline_id, -1) as pipeline_id,
    coalesce(unioned.owner_id, -1) as owner_id,
    sum(unioned.n_open)::integer as n_open,
    coalesce(sum(unioned.open_value_base), 0) as open_value_base,
    coalesce(sum(unioned.weighted_value_base), 0) as weighted_value_base,
    coalesce(sum(unioned.historic_weighted_value_base), 0) as historic_weighted_value_base,
    coalesce(sum(unioned.commit_value_base), 0) as commit_value_base,
    sum(unioned.n_won)::integer as n_won,
    coalesce(sum(unioned.won_value_base), 0) as won_value_base,
    {{ base_currency() }} as base_currency,
    clock.as_of as taken_at,
    sum(unioned.deals_without_rate)::integer as deals_without_rate
from unioned
cross join clock
group by
    clock.today, unioned.period, unioned.period_start, coalesce(unioned.pipeline_id, -1),
    coalesce(unioned.owner_id, -1), clock.as_of
