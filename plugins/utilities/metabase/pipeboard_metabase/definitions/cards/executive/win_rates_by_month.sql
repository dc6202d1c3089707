---
display: line
columns: [period_start, win_rate_by_close_date, win_rate_by_cohort, win_rate_cohort_matured]
x: period_start
y: [win_rate_by_close_date, win_rate_by_cohort, win_rate_cohort_matured]
format:
  period_start: period
  win_rate_by_close_date: percent
  win_rate_by_cohort: percent
  win_rate_cohort_matured: percent
size: {w: 12, h: 6}
static_dashboard: true
deals: {win_rate_by_close_date: closed, win_rate_by_cohort: created, win_rate_cohort_matured: created}
grains: [month, quarter]
---
with closed as (
    select
        period_start() as period_start,
        sum(deals.n_won) as n_won,
        sum(deals.n_closed) as n_closed
    from marts.rpt_deals_monthly as deals
    inner join marts.dim_date as dates on deals.month = dates.date_day
    where
        true
        [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
        of_pipelines_and_owners(deals)
    group by period_start
),

cohorts as (
    select
        period_start() as period_start,
        sum(deals.n_won) as n_won,
        sum(deals.n_created) as n_created,
        bool_and(deals.is_mature) as is_mature
    from marts.rpt_win_rate_cohort as deals
    inner join marts.dim_date as dates on deals.cohort_month = dates.date_day
    where
        true
        [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
        of_pipelines_and_owners(deals)
    group by period_start
)

select
    period_start,
    round(closed.n_won::numeric / nullif(closed.n_closed, 0), 4) as win_rate_by_close_date,
    round(cohorts.n_won::numeric / nullif(cohorts.n_created, 0), 4) as win_rate_by_cohort,
    case
        when cohorts.is_mature then round(cohorts.n_won::numeric / nullif(cohorts.n_created, 0), 4)
    end as win_rate_cohort_matured
from closed
full join cohorts using (period_start)
order by period_start
