---
display: combo
columns: [month, n_pushes, n_pulls, avg_days_per_push]
x: month
y: [n_pushes, n_pulls, avg_days_per_push]
lines: [avg_days_per_push]
right_axis: [avg_days_per_push]
format: {month: month, avg_days_per_push: days}
size: {w: 12, h: 6}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    month,
    sum(n_pushes) as n_pushes,
    sum(n_pulls) as n_pulls,
    round(sum(days_pushed)::numeric / nullif(sum(n_pushes), 0), 2) as avg_days_per_push
from marts.rpt_slippage
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by month
order by month
