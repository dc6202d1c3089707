---
display: scalar
columns: [lost_value_base, deals_without_rate]
y: lost_value_base
format: {lost_value_base: money}
size: {w: 8, h: 3}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    coalesce(sum(lost_value_base), 0) as lost_value_base,
    coalesce(sum(deals_without_rate), 0) as deals_without_rate
from marts.rpt_lost_reasons
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
