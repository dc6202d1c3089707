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
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
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
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by period_start, sources.origin
order by period_start, origin
