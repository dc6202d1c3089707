---
display: scalar
columns: [n_lost]
y: n_lost
size: {w: 8, h: 3}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select coalesce(sum(n_lost), 0) as n_lost
from marts.rpt_lost_reasons
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
