---
display: scalar
columns: [won_value_base, deals_without_rate]
y: won_value_base
format: {won_value_base: money}
period: this_month
size: {w: 6, h: 3}
static_dashboard: true
filters:
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    coalesce(sum(won_value_base), 0) as won_value_base,
    coalesce(sum(won_deals_without_rate), 0) as deals_without_rate
from marts.rpt_deals_monthly
where
    month = (select this_month from ops.ops_account)
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
