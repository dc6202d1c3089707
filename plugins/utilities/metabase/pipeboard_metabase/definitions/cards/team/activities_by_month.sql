---
display: bar
columns: [period_start, n_done, n_planned, n_overdue]
x: period_start
y: [n_done, n_planned, n_overdue]
stacked: true
format: {period_start: period}
unfiltered: [pipeline]
size: {w: 12, h: 6}
static_dashboard: true
grains: [month, quarter]
---
select
    period_start() as period_start,
    sum(n_done) as n_done,
    sum(n_planned) as n_planned,
    sum(n_overdue) as n_overdue
from marts.rpt_activities_monthly as activities
inner join marts.dim_date as dates on activities.month = dates.date_day
where
    true
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_owners()
group by period_start
order by period_start
