---
display: scalar
columns: [landing_base, won_value_target, deals_without_rate]
y: landing_base
goal: won_value_target
format: {landing_base: money, won_value_target: money}
period: this_month
size: {w: 6, h: 4}
static_dashboard: true
filters:
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
with -- The company's own goals are about all deals: none where a filter leaves some out.
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
    coalesce(sum(forecast.landing_base), 0) as landing_base,
    max(targets.target) as won_value_target,
    coalesce(sum(forecast.deals_without_rate), 0) as deals_without_rate
from ops.ops_account as account
left join marts.rpt_forecast as forecast
    on
        account.this_month = forecast.period_start
        [[and forecast.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
        [[and forecast.owner_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and forecast.owner_id in (select user_id from marts.dim_user where {{team}})]]
left join targets on account.this_month = targets.month
