---
display: row
columns: [owner_name, open_value_base, open_count, deals_without_rate]
x: owner_name
y: open_value_base
format: {open_value_base: money}
size: {w: 12, h: 6}
static_dashboard: true
filters:
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
  label: marts.fct_deal_label.label
---
select
    translated(users.name) as owner_name,
    coalesce(sum(deals.value_base), 0) as open_value_base,
    count(*) as open_count,
    count(*) filter (where deals.fx_missing) as deals_without_rate
from marts.rpt_open_deals as deals
inner join marts.dim_user as users on coalesce(deals.owner_id, -1) = users.user_id
where
    true
    [[and deals.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and deals.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and deals.owner_id in (select user_id from marts.dim_user where {{team}})]]
    [[and deals.deal_id in (select deal_id from marts.fct_deal_label where {{label}})]]
group by users.name
order by open_value_base desc, owner_name
