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

won as (
    select
        deals.month,
        sum(deals.won_value_base) as won_value_base,
        sum(deals.won_deals_without_rate) as deals_without_rate
    from marts.rpt_deals_monthly as deals
    where
        true
        [[and deals.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and deals.owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and deals.owner_id in (select user_id from marts.dim_user where {{team}})]]
    group by deals.month
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
    coalesce(won.won_value_base, 0) as won_value_base,
    targets.target as won_value_target,
    coalesce(won.deals_without_rate, 0) as deals_without_rate
from months
left join won on months.month = won.month
left join targets on months.month = targets.month
order by months.month
