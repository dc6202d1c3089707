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
---
with largest_pipeline(marts.rpt_stage_cohort, cohort_month, n_entered)

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
    of_owners(cohorts)
group by cohorts.stage_id, stages.display_name, cohorts.stage_rank, cohorts.cohort_month
order by cohorts.stage_rank, cohorts.cohort_month
