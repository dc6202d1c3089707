---
display: combo
columns: [period_start, n_pushes, n_pulls, avg_days_per_push]
x: period_start
y: [n_pushes, n_pulls, avg_days_per_push]
lines: [avg_days_per_push]
right_axis: [avg_days_per_push]
format: {period_start: period, avg_days_per_push: days}
size: {w: 12, h: 6}
static_dashboard: true
grains: [month, quarter]
---
select
    period_start() as period_start,
    sum(n_pushes) as n_pushes,
    sum(n_pulls) as n_pulls,
    round(sum(days_pushed)::numeric / nullif(sum(n_pushes), 0), 2) as avg_days_per_push
from marts.rpt_slippage as moves
inner join marts.dim_date as dates on moves.month = dates.date_day
where
    true
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_pipelines_and_owners()
group by period_start
order by period_start
