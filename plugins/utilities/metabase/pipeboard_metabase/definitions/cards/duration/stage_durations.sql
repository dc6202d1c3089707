---
display: table
columns: [pipeline_name, stage_name, n_stays, mean_days, median_days, p75_days, p90_days, median_total_days, n_running, median_running_days]
format:
  mean_days: days
  median_days: days
  p75_days: days
  p90_days: days
  median_total_days: days
  median_running_days: days
unfiltered: [period, owner, team, label]
size: {w: 24, h: 6}
static_dashboard: true
filters: {pipeline: marts.dim_pipeline.name}
---
select
    pipelines.name as pipeline_name,
    durations.stage_name,
    durations.n_stays,
    durations.mean_days,
    durations.median_days,
    durations.p75_days,
    durations.p90_days,
    durations.median_total_days,
    durations.n_running,
    durations.median_running_days
from marts.rpt_stage_duration as durations
inner join marts.dim_pipeline as pipelines on durations.pipeline_id = pipelines.pipeline_id
where
    durations.n_stays + durations.n_running > 0
    [[and durations.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
order by pipelines.order_nr, pipelines.name, durations.stage_rank
