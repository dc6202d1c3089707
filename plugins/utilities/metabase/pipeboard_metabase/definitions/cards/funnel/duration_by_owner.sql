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
---
with largest_pipeline(marts.rpt_stage_conversion, month, n_exited)

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
    of_owners(exits)
group by users.display_name, exits.stage_id, stages.display_name, exits.stage_rank
order by owner_name, exits.stage_rank
