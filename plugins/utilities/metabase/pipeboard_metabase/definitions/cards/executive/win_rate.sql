---
display: scalar
columns: [win_rate_by_close_date]
y: win_rate_by_close_date
format: {win_rate_by_close_date: percent}
size: {w: 6, h: 3}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select round(sum(n_won)::numeric / nullif(sum(n_closed), 0), 4) as win_rate_by_close_date
from marts.rpt_deals_monthly
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
