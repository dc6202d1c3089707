---
display: line
columns: [month, avg_cycle_days]
x: month
y: avg_cycle_days
format: {month: month, avg_cycle_days: days}
size: {w: 12, h: 6}
static_dashboard: true
deals: {avg_cycle_days: won}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    month,
    round(sum(won_cycle_days) / nullif(sum(n_won_with_cycle), 0), 2) as avg_cycle_days
from marts.rpt_deals_monthly
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by month
having sum(n_won_with_cycle) > 0
order by month
