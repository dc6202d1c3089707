---
display: bar
columns: [month, origin, n_created]
x: month
y: n_created
series: origin
stacked: true
format: {month: month}
unfiltered: [owner, team]
size: {w: 12, h: 6}
static_dashboard: true
filters: {period: marts.dim_date.date_day, pipeline: marts.dim_pipeline.display_name}
---
select
    sources.month,
    translated(sources.origin) as origin,
    sum(sources.n_created) as n_created
from marts.rpt_sources_monthly as sources
where
    true
    [[and sources.month in (select month_start from marts.dim_date where {{period}})]]
    [[and sources.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
group by sources.month, sources.origin
order by sources.month, sources.origin
