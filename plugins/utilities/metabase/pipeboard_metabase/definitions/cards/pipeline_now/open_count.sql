---
display: scalar
columns: [open_count]
y: open_count
unfiltered: [period]
size: {w: 6, h: 3}
static_dashboard: true
filters:
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
  label: marts.fct_deal_label.label
---
select count(*) as open_count
from marts.rpt_open_deals
where
    true
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
    [[and deal_id in (select deal_id from marts.fct_deal_label where {{label}})]]
