---
display: bar
columns: [month, pipeline_name, won_value_base, deals_without_rate]
x: month
y: won_value_base
series: pipeline_name
stacked: true
format: {month: month, won_value_base: money}
size: {w: 12, h: 6}
static_dashboard: true
deals: {won_value_base: won}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    deals.month,
    pipelines.display_name as pipeline_name,
    sum(deals.won_value_base) as won_value_base,
    sum(deals.won_deals_without_rate) as deals_without_rate
from marts.rpt_deals_monthly as deals
inner join marts.dim_pipeline as pipelines on deals.pipeline_id = pipelines.pipeline_id
where
    true
    [[and deals.month in (select month_start from marts.dim_date where {{period}})]]
    [[and deals.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and deals.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and deals.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by deals.month, pipelines.display_name
order by deals.month, pipelines.display_name
