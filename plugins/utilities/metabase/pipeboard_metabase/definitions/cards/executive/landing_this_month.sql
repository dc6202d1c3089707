---
display: trend
columns: [month, landing_base, won_value_target, deals_without_rate]
x: month
y: landing_base
goal: won_value_target
format: {month: month, landing_base: money, won_value_target: money}
period: this_month
size: {w: 6, h: 4}
static_dashboard: true
deals: {landing_base: landing}
---
with months_of_tile(),

-- What the months before landed at is what was won in them.
landed as (
    select
        deals.month,
        sum(deals.won_value_base) as landing_base,
        sum(deals.won_deals_without_rate) as deals_without_rate
    from marts.rpt_deals_monthly as deals
    cross join ops.ops_account as account
    where
        deals.month < account.this_month
        of_pipelines_and_owners(deals)
    group by deals.month
    union all
    select
        forecast.period_start as month,
        sum(forecast.landing_base) as landing_base,
        sum(forecast.deals_without_rate) as deals_without_rate
    from marts.rpt_forecast as forecast
    inner join ops.ops_account as account on forecast.period_start = account.this_month
    where
        true
        of_pipelines_and_owners(forecast)
    group by forecast.period_start
),

targets_of_company()

select
    months.month,
    coalesce(landed.landing_base, 0) as landing_base,
    targets.target as won_value_target,
    coalesce(landed.deals_without_rate, 0) as deals_without_rate
from months
left join landed on months.month = landed.month
left join targets on months.month = targets.month
order by months.month
