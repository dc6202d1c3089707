---
display: scalar
columns: [weighted_value_base, deals_without_rate]
y: weighted_value_base
format: {weighted_value_base: money}
period: now
size: {w: 6, h: 3}
static_dashboard: true
filters:
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
  label: marts.fct_deal_label.label
---
select
    coalesce(sum(weighted_value_base), 0) as weighted_value_base,
    count(*) filter (where fx_missing) as deals_without_rate
from marts.rpt_open_deals
where
    true
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
    [[and deal_id in (select deal_id from marts.fct_deal_label where {{label}})]]
