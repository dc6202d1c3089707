---
display: scalar
columns: [landing_base, deals_without_rate]
y: landing_base
format: {landing_base: money}
period: this_month
size: {w: 6, h: 3}
static_dashboard: true
filters:
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    coalesce(sum(landing_base), 0) as landing_base,
    coalesce(sum(deals_without_rate), 0) as deals_without_rate
from marts.rpt_forecast
where
    period_start = (select this_month from ops.ops_account)
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
