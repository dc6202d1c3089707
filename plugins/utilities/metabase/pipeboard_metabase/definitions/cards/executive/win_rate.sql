---
display: trend
columns: [month, win_rate_by_close_date]
x: month
y: win_rate_by_close_date
format: {month: month, win_rate_by_close_date: percent}
period: this_month
size: {w: 6, h: 4}
static_dashboard: true
deals: {win_rate_by_close_date: closed}
filters:
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
with months as (
    select distinct dates.month_start as month
    from marts.dim_date as dates
    cross join ops.ops_account as account
    where dates.date_day between account.this_month - interval '12 months' and account.this_month
),

closed as (
    select
        deals.month,
        sum(deals.n_won) as n_won,
        sum(deals.n_closed) as n_closed
    from marts.rpt_deals_monthly as deals
    where
        true
        [[and deals.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and deals.owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and deals.owner_id in (select user_id from marts.dim_user where {{team}})]]
    group by deals.month
)

select
    months.month,
    round(closed.n_won::numeric / nullif(closed.n_closed, 0), 4) as win_rate_by_close_date
from months
left join closed on months.month = closed.month
order by months.month
