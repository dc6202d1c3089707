---
display: heatmap
columns: [stage_name, cohort_month, stage_conversion_entered_cohort, pct_open]
x: cohort_month
y: stage_conversion_entered_cohort
series: stage_name
format: {cohort_month: month, stage_conversion_entered_cohort: percent, pct_open: percent}
size: {w: 24, h: 6}
static_dashboard: true
deals: {stage_conversion_entered_cohort: entered}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
with largest as (
    select pipeline_id
    from marts.rpt_stage_cohort
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
    cohorts.cohort_month,
    round(sum(cohorts.n_progressed)::numeric / nullif(sum(cohorts.n_entered), 0), 4) as stage_conversion_entered_cohort,
    round(sum(cohorts.n_still_open)::numeric / nullif(sum(cohorts.n_entered), 0), 4) as pct_open
from marts.rpt_stage_cohort as cohorts
inner join marts.dim_stage as stages on cohorts.stage_id = stages.stage_id
inner join largest on cohorts.pipeline_id = largest.pipeline_id
where
    true
    [[and cohorts.cohort_month in (select month_start from marts.dim_date where {{period}})]]
    [[and cohorts.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and cohorts.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by cohorts.stage_id, stages.display_name, cohorts.stage_rank, cohorts.cohort_month
order by cohorts.stage_rank, cohorts.cohort_month
