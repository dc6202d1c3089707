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
        [[and deals.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and deals.owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and deals.owner_id in (select user_id from marts.dim_user where {{team}})]]
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
        [[and forecast.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and forecast.owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and forecast.owner_id in (select user_id from marts.dim_user where {{team}})]]
    group by forecast.period_start
),

-- The company's own goals are about all deals: none where a filter leaves some out.
targets as (
    select
        goals.period_start as month,
        sum(goals.target) as target
    from marts.fct_goal_period as goals
    inner join ops.ops_account as account on goals.target_currency = account.base_currency
    where
        goals.is_active
        and goals.goal_type = 'deals_won'
        and goals.tracking_metric = 'sum'
        and goals.goal_interval = 'monthly'
        and goals.assignee_type = 'company'
        [[and exists (select 1 from marts.dim_pipeline where {{pipeline}} and false)]]
        [[and exists (select 1 from marts.dim_user where {{owner}} and false)]]
        [[and exists (select 1 from marts.dim_user where {{team}} and false)]]
    group by goals.period_start
)

select
    months.month,
    coalesce(landed.landing_base, 0) as landing_base,
    targets.target as won_value_target,
    coalesce(landed.deals_without_rate, 0) as deals_without_rate
from months
left join landed on months.month = landed.month
left join targets on months.month = targets.month
order by months.month
