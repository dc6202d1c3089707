---
display: bar
columns: [period_start, origin, n_created]
x: period_start
y: n_created
series: origin
stacked: true
format: {period_start: period}
size: {w: 12, h: 6}
static_dashboard: true
deals: {n_created: created_of_closing_owner}
grains: [month, quarter]
---
select
    period_start() as period_start,
    translated(origin) as origin,
    sum(n_created) as n_created
from marts.rpt_sources_monthly as sources
inner join marts.dim_date as dates on sources.month = dates.date_day
where
    true
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_pipelines_and_owners()
group by period_start, sources.origin
order by period_start, origin
