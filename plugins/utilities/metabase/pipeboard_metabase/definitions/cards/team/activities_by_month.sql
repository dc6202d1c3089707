---
display: bar
columns: [month, n_done, n_planned, n_overdue]
x: month
y: [n_done, n_planned, n_overdue]
stacked: true
format: {month: month}
unfiltered: [pipeline]
size: {w: 12, h: 6}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    month,
    sum(n_done) as n_done,
    sum(n_planned) as n_planned,
    sum(n_overdue) as n_overdue
from marts.rpt_activities_monthly
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by month
order by month
