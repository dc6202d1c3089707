{#-
    Expected value by month of the expected close date. Open deals without a date, or with a past date, are in
    separate periods: they are not expected this month.
-#}
with deals as (
    select
        deals.*,
        {{ local_date('clock.as_of') }} as today,
        stages.win_probability
    from {{ ref('int_counted_deals') }} as deals
    cross join {{ ref('int_warehouse_clock') }} as clock
    left join {{ ref('rpt_stage_win_probability') }} as stages on deals.stage_id = stages.stage_id
),

parts as (
    select
        case
            when is_won then to_char(closed_month, 'YYYY-MM')
            when expected_close_date is null then 'no date'
            when expected_close_date < today then 'overdue'
            else to_char(expected_close_date, 'YYYY-MM')
        end as period,
        case
            when is_won then closed_month
            when expected_close_date >= today then {{ month_of('expected_close_date') }}
        end as period_start,
        coalesce(pipeline_id, -1) as pipeline_id,
        coalesce(case when is_won then closing_owner_id else owner_id end, -1) as owner_id,
        is_open,
        is_won,
        value_base,
        weighted_value_base,
        value_base * win_probability as historic_value_base,
        effective_prob,
        fx_missing
    from deals
    where is_open or (is_won and closed_month >= {{ month_of('today') }})
),

summed as (
    select
        period,
        period_start,
        pipeline_id,
        owner_id,
        count(*) filter (where is_open) as n_open,
        coalesce(sum(value_base) filter (where is_open), 0) as open_value_base,
        coalesce(sum(weighted_value_base) filter (where is_open), 0) as weighted_forecast_base,
        round(coalesce(sum(historic_value_base) filter (where is_open), 0), 2) as historic_forecast_base,
        coalesce(
            sum(value_base) filter (where is_open and effective_prob >= {{ var('commit_probability') }}), 0
        ) as commit_value_base,
        count(*) filter (where is_won) as n_won,
        coalesce(sum(value_base) filter (where is_won), 0) as won_value_base,
        {{ deals_without_rate('is_open') }} as open_deals_without_rate,
        {{ deals_without_rate() }} as deals_without_rate
    from parts
    group by period, period_start, pipeline_id, owner_id
)

select
    period,
    period_start,
    pipeline_id,
    owner_id,
    n_open::integer as n_open,
    open_value_base,
    weighted_forecast_base,
    historic_forecast_base,
    commit_value_base,
    n_won::integer as n_won,
    won_value_base,
    won_value_base + weighted_forecast_base as landing_base,
    won_value_base + historic_forecast_base as historic_landing_base,
    open_deals_without_rate,
    deals_without_rate
from summed
