{#-
    The result of a month, compared with the forecast on its first day (or on the first day with a snapshot), and
    the result as reported at its end.
-#}
with snapshots as (
    select
        as_of_date,
        period_start,
        pipeline_id,
        sum(weighted_value_base) as weighted_value_base,
        sum(historic_weighted_value_base) as historic_weighted_value_base,
        sum(won_value_base) as won_value_base,
        sum(deals_without_rate)::integer as deals_without_rate
    from {{ ref('fct_forecast_snapshot') }}
    where period_start is not null
    group by as_of_date, period_start, pipeline_id
),

months as (
    select distinct period_start from snapshots
),

dates as (
    select distinct as_of_date from snapshots
),

-- A pipeline without rows on that day had no forecast.
days as (
    select
        months.period_start,
        min(dates.as_of_date) filter (
            where dates.as_of_date >= months.period_start
            and dates.as_of_date < months.period_start + interval '1 month'
        ) as forecast_on,
        min(dates.as_of_date) filter (
            where dates.as_of_date >= months.period_start + interval '1 month'
        ) as reported_on
    from months
    cross join dates
    group by months.period_start
),

won as (
    select
        closed_month,
        coalesce(pipeline_id, -1) as pipeline_id,
        sum(value_base) as won_value_base,
        {{ deals_without_rate() }} as deals_without_rate
    from {{ ref('int_counted_deals') }}
    where is_won
    group by closed_month, coalesce(pipeline_id, -1)
),

scopes as (
    select distinct
        days.period_start,
        days.forecast_on,
        days.reported_on,
        snapshots.pipeline_id
    from days
    inner join snapshots on days.period_start = snapshots.period_start
    where days.forecast_on is not null
)

select
    scopes.period_start,
    scopes.pipeline_id,
    scopes.forecast_on,
    scopes.forecast_on = scopes.period_start as is_from_first_day,
    coalesce(forecast.weighted_value_base, 0) + coalesce(forecast.won_value_base, 0) as forecast_value_base,
    coalesce(forecast.historic_weighted_value_base, 0)
    + coalesce(forecast.won_value_base, 0) as historic_forecast_value_base,
    coalesce(won.won_value_base, 0) as won_value_base,
    case when scopes.reported_on is not null then coalesce(reported.won_value_base, 0) end as won_value_as_reported,
    scopes.reported_on,
    scopes.reported_on is not null as is_complete,
    {{ ratio(
        'coalesce(won.won_value_base, 0)',
        'coalesce(forecast.weighted_value_base, 0) + coalesce(forecast.won_value_base, 0)'
    ) }} as forecast_accuracy,
    {{ ratio(
        'coalesce(won.won_value_base, 0)',
        'coalesce(forecast.historic_weighted_value_base, 0) + coalesce(forecast.won_value_base, 0)'
    ) }} as historic_forecast_accuracy,
    forecast.deals_without_rate as forecast_deals_without_rate,
    coalesce(won.deals_without_rate, 0) as deals_without_rate
from scopes
left join snapshots as forecast
    on
        scopes.forecast_on = forecast.as_of_date
        and scopes.period_start = forecast.period_start
        and scopes.pipeline_id = forecast.pipeline_id
left join snapshots as reported
    on
        scopes.reported_on = reported.as_of_date
        and scopes.period_start = reported.period_start
        and scopes.pipeline_id = reported.pipeline_id
left join won on scopes.period_start = won.closed_month and scopes.pipeline_id = won.pipeline_id
