---
display: trend
columns: [month, won_value_base, won_value_target, deals_without_rate]
x: month
y: won_value_base
goal: won_value_target
format: {month: month, won_value_base: money, won_value_target: money}
period: this_month
size: {w: 6, h: 4}
static_dashboard: true
deals: {won_value_base: won}
---
with months_of_tile(),

won as (
    select
        deals.month,
        sum(deals.won_value_base) as won_value_base,
        sum(deals.won_deals_without_rate) as deals_without_rate
    from marts.rpt_deals_monthly as deals
    where
        true
        of_pipelines_and_owners(deals)
    group by deals.month
),

targets_of_company()

select
    months.month,
    coalesce(won.won_value_base, 0) as won_value_base,
    targets.target as won_value_target,
    coalesce(won.deals_without_rate, 0) as deals_without_rate
from months
left join won on months.month = won.month
left join targets on months.month = targets.month
order by months.month
