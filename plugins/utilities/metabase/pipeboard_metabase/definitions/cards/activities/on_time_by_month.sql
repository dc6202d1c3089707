---
display: line
columns: [month, on_time_rate]
x: month
y: on_time_rate
format: {month: month, on_time_rate: percent}
unfiltered: [pipeline]
size: {w: 12, h: 7}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select
    month,
    round(sum(n_on_time)::numeric / nullif(sum(n_done_with_due_date), 0), 4) as on_time_rate
from marts.rpt_activities_monthly
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by month
having sum(n_done_with_due_date) > 0
order by month
