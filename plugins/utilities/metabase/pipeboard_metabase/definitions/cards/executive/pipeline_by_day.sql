---
display: area
columns: [date_day, open_value_base, weighted_value_base, deals_without_rate]
x: date_day
y: [open_value_base, weighted_value_base]
format: {date_day: date, open_value_base: money, weighted_value_base: money}
size: {w: 12, h: 6}
static_dashboard: true
rows_overlap: true
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    date_day,
    sum(open_value_base) as open_value_base,
    sum(weighted_value_base) as weighted_value_base,
    sum(deals_without_rate) as deals_without_rate
from marts.rpt_pipeline_daily
where
    true
    [[and date_day in (select date_day from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by date_day
order by date_day
