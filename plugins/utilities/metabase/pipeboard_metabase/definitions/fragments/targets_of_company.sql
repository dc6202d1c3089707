-- targets_of_company()
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
