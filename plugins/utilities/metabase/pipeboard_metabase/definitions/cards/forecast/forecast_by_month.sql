---
display: bar
columns: [period, won_value_base, weighted_forecast_base, open_value_base, deals_without_rate]
x: period
y: [won_value_base, weighted_forecast_base]
stacked: true
format: {won_value_base: money, weighted_forecast_base: money, open_value_base: money}
period: from_this_month
size: {w: 24, h: 7}
static_dashboard: true
deals: {won_value_base: won, weighted_forecast_base: open, open_value_base: open}
---
select
    translated(forecast.period) as period,
    sum(forecast.won_value_base) as won_value_base,
    sum(forecast.weighted_forecast_base) as weighted_forecast_base,
    sum(forecast.open_value_base) as open_value_base,
    sum(forecast.deals_without_rate) as deals_without_rate
from marts.rpt_forecast as forecast
where
    true
    of_pipelines_and_owners(forecast)
group by forecast.period, forecast.period_start
order by forecast.period_start nulls first, forecast.period desc
