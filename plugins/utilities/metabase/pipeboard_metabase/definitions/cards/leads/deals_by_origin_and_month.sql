---
display: bar
columns: [month, origin, n_created]
x: month
y: n_created
series: origin
stacked: true
format: {month: month}
size: {w: 12, h: 6}
static_dashboard: true
deals: {n_created: created_of_closing_owner}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
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
    [[and sources.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and sources.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by sources.month, sources.origin
order by sources.month, sources.origin
