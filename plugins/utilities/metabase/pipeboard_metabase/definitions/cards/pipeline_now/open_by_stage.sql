---
display: bar
columns: [stage_name, pipeline_name, open_value_base, weighted_value_base, open_count]
x: stage_name
y: [open_value_base, weighted_value_base]
format: {open_value_base: money, weighted_value_base: money}
filters: {pipeline: marts.dim_pipeline.name, owner: marts.dim_user.name}
size: {w: 12, h: 6}
first_look: true
---
select
    stages.name as stage_name,
    pipelines.name as pipeline_name,
    sum(now.open_value_base) as open_value_base,
    sum(now.weighted_value_base) as weighted_value_base,
    sum(now.open_count) as open_count
from marts.rpt_pipeline_now as now
inner join marts.dim_stage as stages on now.stage_id = stages.stage_id
inner join marts.dim_pipeline as pipelines on now.pipeline_id = pipelines.pipeline_id
where
    true
    [[and now.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and now.owner_id in (select user_id from marts.dim_user where {{owner}})]]
group by stages.name, pipelines.name, pipelines.order_nr, stages.stage_rank
order by pipelines.order_nr, pipelines.name, stages.stage_rank
