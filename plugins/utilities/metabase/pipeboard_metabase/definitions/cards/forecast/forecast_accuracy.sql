---
display: combo
columns: [month, forecast_value_base, won_value_base, forecast_accuracy, deals_without_rate]
x: month
y: [forecast_value_base, won_value_base, forecast_accuracy]
lines: [forecast_accuracy]
right_axis: [forecast_accuracy]
format: {month: month, forecast_value_base: money, won_value_base: money, forecast_accuracy: percent}
unfiltered: [owner, team]
size: {w: 12, h: 6}
---
select
    period_start as month,
    sum(forecast_value_base) as forecast_value_base,
    sum(won_value_base) as won_value_base,
    round(sum(won_value_base) / nullif(sum(forecast_value_base), 0), 4) as forecast_accuracy,
    sum(deals_without_rate) as deals_without_rate
from marts.rpt_forecast_accuracy
where
    true
    [[and period_start in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
group by period_start
order by period_start
