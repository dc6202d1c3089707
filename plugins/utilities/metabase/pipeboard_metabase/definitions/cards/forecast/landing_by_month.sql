---
display: line
columns: [period_start, landing_base, historic_landing_base, deals_without_rate]
x: period_start
y: [landing_base, historic_landing_base]
format: {period_start: month, landing_base: money, historic_landing_base: money}
unfiltered: [period]
size: {w: 12, h: 6}
static_dashboard: true
filters:
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select
    period_start,
    sum(landing_base) as landing_base,
    sum(historic_landing_base) as historic_landing_base,
    sum(deals_without_rate) as deals_without_rate
from marts.rpt_forecast
where
    period_start is not null
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by period_start
order by period_start
