---
display: bar
columns: [stage_name, median_days, p90_days, n_stays, p75_days, median_total_days, n_running, median_running_days, pipeline_name]
x: stage_name
y: [median_days, p90_days]
format:
  median_days: days
  p75_days: days
  p90_days: days
  median_total_days: days
  median_running_days: days
period: all
unfiltered: [owner, team]
size: {w: 12, h: 6}
static_dashboard: true
filters: {pipeline: marts.dim_pipeline.display_name}
---
select
    stages.display_name as stage_name,
    durations.median_days,
    durations.p90_days,
    durations.n_stays,
    durations.p75_days,
    durations.median_total_days,
    durations.n_running,
    durations.median_running_days,
    pipelines.display_name as pipeline_name
from marts.rpt_stage_duration as durations
inner join marts.dim_stage as stages on durations.stage_id = stages.stage_id
inner join marts.dim_pipeline as pipelines on durations.pipeline_id = pipelines.pipeline_id
where
    durations.n_stays > 0
    [[and durations.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
order by pipelines.order_nr, pipelines.display_name, durations.stage_rank
