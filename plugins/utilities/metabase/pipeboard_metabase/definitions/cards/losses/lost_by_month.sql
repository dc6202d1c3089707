---
display: line
columns: [period_start, n_lost, lost_value_base, deals_without_rate]
x: period_start
y: [n_lost, lost_value_base]
right_axis: [lost_value_base]
format: {period_start: period, lost_value_base: money}
size: {w: 12, h: 6}
static_dashboard: true
deals: {n_lost: lost, lost_value_base: lost}
grains: [month, quarter]
---
select
    period_start() as period_start,
    sum(n_lost) as n_lost,
    sum(lost_value_base) as lost_value_base,
    sum(deals_without_rate) as deals_without_rate
from marts.rpt_lost_reasons as reasons
inner join marts.dim_date as dates on reasons.month = dates.date_day
where
    true
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_pipelines_and_owners()
group by period_start
order by period_start
