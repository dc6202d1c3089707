---
display: line
columns: [period_start, stage_name, stage_conversion_exited]
x: period_start
y: stage_conversion_exited
series: stage_name
format: {period_start: period, stage_conversion_exited: percent}
size: {w: 12, h: 7}
static_dashboard: true
deals: {stage_conversion_exited: left_stage}
grains: [month, quarter]
---
with largest as (
    select pipeline_id
    from marts.rpt_stage_conversion as exits
    inner join marts.dim_date as dates on exits.month = dates.date_day
    where
        true
        [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
        of_pipelines_and_owners()
    group by pipeline_id
    order by sum(n_exited) desc, pipeline_id
    limit 1
)

select
    period_start() as period_start,
    stages.display_name as stage_name,
    round(sum(exits.n_advanced)::numeric / nullif(sum(exits.n_exited), 0), 4) as stage_conversion_exited
from marts.rpt_stage_conversion as exits
inner join marts.dim_date as dates on exits.month = dates.date_day
inner join marts.dim_stage as stages on exits.stage_id = stages.stage_id
inner join largest on exits.pipeline_id = largest.pipeline_id
where
    true
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_owners(exits)
group by period_start, exits.stage_id, stages.display_name, exits.stage_rank
order by exits.stage_rank, period_start
