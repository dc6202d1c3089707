---
display: line
columns: [month, n_lost, lost_value_base, deals_without_rate]
x: month
y: [n_lost, lost_value_base]
right_axis: [lost_value_base]
format: {month: month, lost_value_base: money}
size: {w: 12, h: 6}
static_dashboard: true
deals: {n_lost: lost, lost_value_base: lost}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    month,
    sum(n_lost) as n_lost,
    sum(lost_value_base) as lost_value_base,
    sum(deals_without_rate) as deals_without_rate
from marts.rpt_lost_reasons
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by month
order by month
