---
display: heatmap
columns: [label, stage_name, median_days]
x: stage_name
y: median_days
series: label
format: {median_days: days}
unfiltered: [period, owner, team]
size: {w: 12, h: 7}
static_dashboard: true
may_be_empty: An account need not have labels.
filters: {pipeline: marts.dim_pipeline.name, label: marts.fct_deal_label.label}
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
    durations.label,
    durations.stage_name,
    durations.median_days
from marts.rpt_stage_duration_by_label as durations
inner join largest on durations.pipeline_id = largest.pipeline_id
where
    true
    [[and durations.label in (select label from marts.fct_deal_label where {{label}})]]
order by durations.label, durations.stage_rank
