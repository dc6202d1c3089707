---
display: line
columns: [month, activities_per_won_deal, touches_per_won_deal]
x: month
y: [activities_per_won_deal, touches_per_won_deal]
format: {month: month, activities_per_won_deal: decimal, touches_per_won_deal: decimal}
size: {w: 12, h: 6}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    month,
    round(sum(n_activities)::numeric / nullif(sum(n_won), 0), 2) as activities_per_won_deal,
    round(sum(n_touches)::numeric / nullif(sum(n_won), 0), 2) as touches_per_won_deal
from marts.rpt_won_effort
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by month
order by month
