---
display: heatmap
columns: [owner_name, stage_name, median_days]
x: stage_name
y: median_days
series: owner_name
format: {median_days: days}
size: {w: 24, h: 7}
static_dashboard: true
deals: {median_days: timed}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
with largest as (
    select pipeline_id
    from marts.rpt_stage_conversion
    where
        true
        [[and month in (select month_start from marts.dim_date where {{period}})]]
        [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
    group by pipeline_id
    order by sum(n_exited) desc, pipeline_id
    limit 1
)

select
    translated(users.display_name) as owner_name,
    stages.display_name as stage_name,
    round((percentile_cont(0.5) within group (order by visit.days))::numeric, 2) as median_days
from marts.rpt_stage_conversion as exits
inner join marts.dim_stage as stages on exits.stage_id = stages.stage_id
inner join largest on exits.pipeline_id = largest.pipeline_id
inner join marts.dim_user as users on exits.owner_id = users.user_id
cross join unnest(exits.days_of_visits) as visit (days)
where
    exits.n_timed > 0
    [[and exits.month in (select month_start from marts.dim_date where {{period}})]]
    [[and exits.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and exits.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by users.display_name, exits.stage_id, stages.display_name, exits.stage_rank
order by owner_name, exits.stage_rank
