---
display: area
columns: [cohort_month, n_won, n_lost, n_open]
x: cohort_month
y: [n_won, n_lost, n_open]
stacked: true
format: {cohort_month: month}
size: {w: 12, h: 6}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select
    cohort_month,
    sum(n_won) as n_won,
    sum(n_lost) as n_lost,
    sum(n_open) as n_open
from marts.rpt_win_rate_cohort
where
    true
    [[and cohort_month in (select month_start from marts.dim_date where {{period}})]]
    [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by cohort_month
order by cohort_month
