---
display: table
columns: [pipeline_name, stage_name, n_entered, n_reached, stage_reached_rate, n_reached_strict, n_won_past]
format: {stage_reached_rate: percent}
unfiltered: [owner, team]
size: {w: 12, h: 8}
static_dashboard: true
filters: {period: marts.dim_date.date_day, pipeline: marts.dim_pipeline.name}
---
select
    pipelines.name as pipeline_name,
    funnel.stage_name,
    sum(funnel.n_entered) as n_entered,
    sum(funnel.n_reached) as n_reached,
    round(sum(funnel.n_reached)::numeric / nullif(sum(funnel.n_entered), 0), 4) as stage_reached_rate,
    sum(funnel.n_reached_strict) as n_reached_strict,
    sum(funnel.n_won_past) as n_won_past
from marts.rpt_funnel_monthly as funnel
inner join marts.dim_pipeline as pipelines on funnel.pipeline_id = pipelines.pipeline_id
where
    true
    [[and funnel.cohort_month in (select month_start from marts.dim_date where {{period}})]]
    [[and funnel.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
group by pipelines.order_nr, pipelines.name, funnel.stage_id, funnel.stage_name, funnel.stage_rank
order by pipelines.order_nr, pipelines.name, funnel.stage_rank
