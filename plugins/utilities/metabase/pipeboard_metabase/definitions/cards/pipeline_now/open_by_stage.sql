---
display: bar
columns: [stage_name, pipeline_name, open_value_base, weighted_value_base, open_count, deals_without_rate]
x: stage_name
y: [open_value_base, weighted_value_base]
format: {open_value_base: money, weighted_value_base: money}
period: now
size: {w: 12, h: 6}
static_dashboard: true
deals: {open_value_base: open, weighted_value_base: open, open_count: open}
---
select
    stages.display_name as stage_name,
    pipelines.display_name as pipeline_name,
    coalesce(sum(deals.value_base), 0) as open_value_base,
    coalesce(sum(deals.weighted_value_base), 0) as weighted_value_base,
    count(*) as open_count,
    count(*) filter (where deals.fx_missing) as deals_without_rate
from marts.rpt_open_deals as deals
inner join marts.dim_stage as stages on deals.stage_id = stages.stage_id
inner join marts.dim_pipeline as pipelines on deals.pipeline_id = pipelines.pipeline_id
where
    true
    of_pipelines_and_owners(deals)
    [[and deals.deal_id in (select deal_id from marts.fct_deal_label where {{label}})]]
group by pipelines.order_nr, pipelines.display_name, stages.stage_rank, stages.display_name
order by pipelines.order_nr, pipelines.display_name, stages.stage_rank
