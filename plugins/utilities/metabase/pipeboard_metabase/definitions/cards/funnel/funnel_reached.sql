---
display: funnel
columns: [stage_name, n_reached, stage_reached_rate, pipeline_name]
x: stage_name
y: n_reached
format: {stage_reached_rate: percent}
size: {w: 12, h: 8}
static_dashboard: true
deals: {n_reached: reached, stage_reached_rate: reached}
---
with largest_pipeline(marts.rpt_funnel_monthly, cohort_month, n_entered)

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
    of_owners(funnel)
group by pipelines.display_name, funnel.stage_id, stages.display_name, funnel.stage_rank
order by funnel.stage_rank
