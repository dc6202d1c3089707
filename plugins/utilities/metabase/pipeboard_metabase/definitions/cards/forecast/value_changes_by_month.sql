---
display: combo
columns: [period_start, up_value_base, down_value_base, net_value_base, deals_without_rate]
x: period_start
y: [up_value_base, down_value_base, net_value_base]
lines: [net_value_base]
format: {period_start: period, up_value_base: money, down_value_base: money, net_value_base: money}
size: {w: 12, h: 6}
static_dashboard: true
rows_overlap: true
grains: [month, quarter]
---
select
    period_start() as period_start,
    sum(up_value_base) as up_value_base,
    sum(down_value_base) as down_value_base,
    sum(net_value_base) as net_value_base,
    sum(deals_without_rate) as deals_without_rate
from marts.rpt_value_changes as changes
inner join marts.dim_date as dates on changes.month = dates.date_day
where
    true
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_pipelines_and_owners()
group by period_start
order by period_start
