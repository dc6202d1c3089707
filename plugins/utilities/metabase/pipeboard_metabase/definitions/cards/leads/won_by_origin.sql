---
display: row
columns: [origin, won_value_base, n_won, deals_without_rate]
x: origin
y: won_value_base
format: {won_value_base: money}
unfiltered: [owner, team]
size: {w: 12, h: 6}
static_dashboard: true
filters: {period: marts.dim_date.date_day, pipeline: marts.dim_pipeline.name}
---
select
    translated(sources.origin) as origin,
    sum(sources.won_value_base) as won_value_base,
    sum(sources.n_won) as n_won,
    sum(sources.deals_without_rate) as deals_without_rate
from marts.rpt_sources_monthly as sources
where
    true
    [[and sources.month in (select month_start from marts.dim_date where {{period}})]]
    [[and sources.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
group by sources.origin
order by won_value_base desc, origin
