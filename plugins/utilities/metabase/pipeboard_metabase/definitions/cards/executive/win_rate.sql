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
---
with months_of_tile(),

closed as (
    select
        deals.month,
        sum(deals.n_won) as n_won,
        sum(deals.n_closed) as n_closed
    from marts.rpt_deals_monthly as deals
    where
        true
        of_pipelines_and_owners(deals)
    group by deals.month
)

select
    months.month,
    round(closed.n_won::numeric / nullif(closed.n_closed, 0), 4) as win_rate_by_close_date
from months
left join closed on months.month = closed.month
order by months.month
