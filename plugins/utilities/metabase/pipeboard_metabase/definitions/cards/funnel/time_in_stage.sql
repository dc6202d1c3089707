---
display: bar
columns: [stage_name, median_days, p75_days, p90_days, n_timed, pipeline_name]
x: stage_name
y: [median_days, p90_days]
format: {median_days: days, p75_days: days, p90_days: days}
size: {w: 12, h: 6}
static_dashboard: true
deals: {median_days: timed, p75_days: timed, p90_days: timed, n_timed: timed}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    stages.display_name as stage_name,
    round((percentile_cont(0.5) within group (order by visit.days))::numeric, 2) as median_days,
    round((percentile_cont(0.75) within group (order by visit.days))::numeric, 2) as p75_days,
    round((percentile_cont(0.9) within group (order by visit.days))::numeric, 2) as p90_days,
    count(visit.days) as n_timed,
    pipelines.display_name as pipeline_name
from marts.rpt_stage_conversion as exits
inner join marts.dim_stage as stages on exits.stage_id = stages.stage_id
inner join marts.dim_pipeline as pipelines on exits.pipeline_id = pipelines.pipeline_id
cross join unnest(exits.days_of_visits) as visit (days)
where
    exits.n_timed > 0
    [[and exits.month in (select month_start from marts.dim_date where {{period}})]]
    [[and exits.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and exits.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and exits.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by pipelines.order_nr, pipelines.display_name, exits.stage_id, stages.display_name, exits.stage_rank
order by pipelines.order_nr, pipelines.display_name, exits.stage_rank
