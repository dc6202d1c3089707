---
display: scalar
columns: [commit_value_base, deals_without_rate]
y: commit_value_base
format: {commit_value_base: money}
period: now
unfiltered: [label]
size: {w: 6, h: 4}
static_dashboard: true
filters:
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    coalesce(sum(commit_value_base), 0) as commit_value_base,
    coalesce(sum(open_deals_without_rate), 0) as deals_without_rate
from marts.rpt_forecast
where
    true
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
