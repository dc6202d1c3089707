---
display: bar
columns: [stage_name, median_days, p90_days, pipeline_name]
x: stage_name
y: [median_days, p90_days]
format: {median_days: days, p90_days: days}
unfiltered: [period, owner, team, label]
size: {w: 12, h: 6}
static_dashboard: true
filters: {pipeline: marts.dim_pipeline.name}
---
select
    durations.stage_name,
    durations.median_days,
    durations.p90_days,
    pipelines.name as pipeline_name
from marts.rpt_stage_duration as durations
inner join marts.dim_pipeline as pipelines on durations.pipeline_id = pipelines.pipeline_id
where
    durations.n_stays > 0
    [[and durations.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
order by pipelines.order_nr, pipelines.name, durations.stage_rank
