---
display: bar
columns: [stage_name, n_advanced, n_lost, n_back, n_moved_pipeline, pipeline_name]
x: stage_name
y: [n_advanced, n_lost, n_back, n_moved_pipeline]
stacked: true
size: {w: 12, h: 7}
static_dashboard: true
deals: {n_advanced: advanced, n_lost: lost_in_stage, n_back: moved_back, n_moved_pipeline: moved_pipeline}
---
select
    stages.display_name as stage_name,
    sum(exits.n_advanced) as n_advanced,
    sum(exits.n_lost) as n_lost,
    sum(exits.n_back) as n_back,
    sum(exits.n_moved_pipeline) as n_moved_pipeline,
    pipelines.display_name as pipeline_name
from marts.rpt_stage_conversion as exits
inner join marts.dim_stage as stages on exits.stage_id = stages.stage_id
inner join marts.dim_pipeline as pipelines on exits.pipeline_id = pipelines.pipeline_id
where
    true
    [[and exits.month in (select month_start from marts.dim_date where {{period}})]]
    of_pipelines_and_owners(exits)
group by pipelines.order_nr, pipelines.display_name, exits.stage_id, stages.display_name, exits.stage_rank
order by pipelines.order_nr, pipelines.display_name, exits.stage_rank
