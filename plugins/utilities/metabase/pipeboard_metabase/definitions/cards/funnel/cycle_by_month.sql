---
display: line
columns: [period_start, median_cycle_days, avg_cycle_days]
x: period_start
y: [median_cycle_days, avg_cycle_days]
format: {period_start: period, median_cycle_days: days, avg_cycle_days: days}
size: {w: 12, h: 6}
static_dashboard: true
deals: {median_cycle_days: won, avg_cycle_days: won}
grains: [month, quarter]
---
select
    period_start() as period_start,
    round((percentile_cont(0.5) within group (order by deals.cycle_days))::numeric, 2) as median_cycle_days,
    round(sum(deals.cycle_days) / nullif(count(*), 0), 2) as avg_cycle_days
from marts.rpt_won_deals as deals
inner join marts.dim_date as dates on deals.month = dates.date_day
where
    deals.cycle_days is not null
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_pipelines_and_owners(deals)
group by period_start
order by period_start
