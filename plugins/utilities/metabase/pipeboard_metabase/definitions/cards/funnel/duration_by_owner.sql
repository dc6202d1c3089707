---
display: heatmap
columns: [owner_name, stage_name, median_days]
x: stage_name
y: median_days
series: owner_name
format: {median_days: days}
period: all
size: {w: 24, h: 7}
static_dashboard: true
filters:
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
with largest as (
    select pipeline_id
    from marts.rpt_stage_duration
    where
        n_stays > 0
        [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    group by pipeline_id
    order by sum(n_stays) desc, pipeline_id
    limit 1
)

select
    translated(users.display_name) as owner_name,
    stages.display_name as stage_name,
    durations.median_days
from marts.rpt_stage_duration_by_owner as durations
inner join marts.dim_stage as stages on durations.stage_id = stages.stage_id
inner join largest on durations.pipeline_id = largest.pipeline_id
inner join marts.dim_user as users on durations.owner_id = users.user_id
where
    true
    [[and durations.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and durations.owner_id in (select user_id from marts.dim_user where {{team}})]]
order by owner_name, durations.stage_rank
