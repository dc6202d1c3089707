---
display: bar
columns: [month, n_created, n_won, n_lost]
x: month
y: [n_created, n_won, n_lost]
format: {month: month}
size: {w: 24, h: 6}
static_dashboard: true
deals: {n_created: created, n_won: won, n_lost: lost}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    month,
    sum(n_created) as n_created,
    sum(n_won) as n_won,
    sum(n_lost) as n_lost
from marts.rpt_deals_monthly
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by month
order by month
