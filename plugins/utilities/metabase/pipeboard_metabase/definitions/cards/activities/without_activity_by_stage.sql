---
display: bar
columns: [stage_name, n_without_next_activity, open_count, pipeline_name]
x: stage_name
y: [n_without_next_activity, open_count]
unfiltered: [period]
size: {w: 12, h: 6}
static_dashboard: true
filters:
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select
    stages.name as stage_name,
    sum(pipeline.n_without_next_activity) as n_without_next_activity,
    sum(pipeline.open_count) as open_count,
    pipelines.name as pipeline_name
from marts.rpt_pipeline_now as pipeline
inner join marts.dim_stage as stages on pipeline.stage_id = stages.stage_id
inner join marts.dim_pipeline as pipelines on pipeline.pipeline_id = pipelines.pipeline_id
where
    true
    [[and pipeline.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and pipeline.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and pipeline.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by pipelines.order_nr, pipelines.name, stages.stage_rank, stages.name
order by pipelines.order_nr, pipelines.name, stages.stage_rank
