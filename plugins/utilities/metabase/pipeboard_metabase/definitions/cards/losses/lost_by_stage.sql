---
display: bar
columns: [stage_name, n_lost, lost_value_base, pipeline_name, deals_without_rate]
x: stage_name
y: n_lost
format: {lost_value_base: money}
size: {w: 12, h: 6}
static_dashboard: true
deals: {n_lost: lost, lost_value_base: lost}
---
select
    stages.display_name as stage_name,
    sum(lost.n_lost) as n_lost,
    sum(lost.lost_value_base) as lost_value_base,
    pipelines.display_name as pipeline_name,
    sum(lost.deals_without_rate) as deals_without_rate
from marts.rpt_lost_reasons as lost
inner join marts.dim_stage as stages on lost.last_open_stage_id = stages.stage_id
inner join marts.dim_pipeline as pipelines on lost.pipeline_id = pipelines.pipeline_id
where
    true
    [[and lost.month in (select month_start from marts.dim_date where {{period}})]]
    of_pipelines_and_owners(lost)
group by pipelines.order_nr, pipelines.display_name, stages.stage_rank, stages.display_name
order by pipelines.order_nr, pipelines.display_name, stages.stage_rank
