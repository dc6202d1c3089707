---
display: funnel
columns: [stage_name, n_reached, stage_reached_rate, pipeline_name]
x: stage_name
y: n_reached
format: {stage_reached_rate: percent}
size: {w: 12, h: 8}
static_dashboard: true
deals: {n_reached: reached, stage_reached_rate: reached}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
with largest as (
    select pipeline_id
    from marts.rpt_funnel_monthly
    where
        true
        [[and cohort_month in (select month_start from marts.dim_date where {{period}})]]
        [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
    group by pipeline_id
    order by sum(n_entered) desc, pipeline_id
    limit 1
)

select
    stages.display_name as stage_name,
    sum(funnel.n_reached) as n_reached,
    round(sum(funnel.n_reached)::numeric / nullif(sum(funnel.n_entered), 0), 4) as stage_reached_rate,
    pipelines.display_name as pipeline_name
from marts.rpt_funnel_monthly as funnel
inner join marts.dim_stage as stages on funnel.stage_id = stages.stage_id
inner join largest on funnel.pipeline_id = largest.pipeline_id
inner join marts.dim_pipeline as pipelines on funnel.pipeline_id = pipelines.pipeline_id
where
    true
    [[and funnel.cohort_month in (select month_start from marts.dim_date where {{period}})]]
    [[and funnel.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and funnel.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by pipelines.display_name, funnel.stage_id, stages.display_name, funnel.stage_rank
order by funnel.stage_rank
