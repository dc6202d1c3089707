---
display: table
columns: [title, owner_name, pipeline_name, stage_name, value_base, days_without_sign_of_life, last_sign_of_life_at, deal_url]
link: {title: deal_url}
format: {value_base: money, days_without_sign_of_life: days, last_sign_of_life_at: time}
size: {w: 24, h: 7}
static_dashboard: true
may_be_empty: Nothing may be stalled.
filters:
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
  label: marts.fct_deal_label.label
---
select
    deals.title,
    translated(users.name) as owner_name,
    pipelines.name as pipeline_name,
    stages.name as stage_name,
    deals.value_base,
    deals.days_without_sign_of_life,
    deals.last_sign_of_life_at,
    account.deal_url_prefix || deals.deal_id as deal_url
from marts.rpt_open_deals as deals
cross join ops.ops_account as account
left join marts.dim_user as users on coalesce(deals.owner_id, -1) = users.user_id
left join marts.dim_pipeline as pipelines on deals.pipeline_id = pipelines.pipeline_id
left join marts.dim_stage as stages on deals.stage_id = stages.stage_id
where
    deals.is_stalled
    [[and deals.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and deals.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and deals.owner_id in (select user_id from marts.dim_user where {{team}})]]
    [[and deals.deal_id in (select deal_id from marts.fct_deal_label where {{label}})]]
order by deals.value_base desc nulls last, deals.deal_id
limit 200
