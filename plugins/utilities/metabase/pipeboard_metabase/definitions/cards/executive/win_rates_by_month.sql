---
display: line
columns: [month, win_rate_by_close_date, win_rate_by_cohort, win_rate_cohort_matured]
x: month
y: [win_rate_by_close_date, win_rate_by_cohort, win_rate_cohort_matured]
format:
  month: month
  win_rate_by_close_date: percent
  win_rate_by_cohort: percent
  win_rate_cohort_matured: percent
size: {w: 12, h: 6}
static_dashboard: true
deals: {win_rate_by_close_date: closed, win_rate_by_cohort: created, win_rate_cohort_matured: created}
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
with closed as (
    select
        month,
        sum(n_won) as n_won,
        sum(n_closed) as n_closed
    from marts.rpt_deals_monthly
    where
        true
        [[and month in (select month_start from marts.dim_date where {{period}})]]
        [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
    group by month
),

cohorts as (
    select
        cohort_month as month,
        sum(n_won) as n_won,
        sum(n_created) as n_created,
        bool_and(is_mature) as is_mature
    from marts.rpt_win_rate_cohort
    where
        true
        [[and cohort_month in (select month_start from marts.dim_date where {{period}})]]
        [[and pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
    group by cohort_month
)

select
    month,
    round(closed.n_won::numeric / nullif(closed.n_closed, 0), 4) as win_rate_by_close_date,
    round(cohorts.n_won::numeric / nullif(cohorts.n_created, 0), 4) as win_rate_by_cohort,
    case
        when cohorts.is_mature then round(cohorts.n_won::numeric / nullif(cohorts.n_created, 0), 4)
    end as win_rate_cohort_matured
from closed
full join cohorts using (month)
order by month
