---
display: combo
columns: [goal_month, won_value_base, won_value_target, attainment, deals_without_rate]
x: goal_month
y: [won_value_base, won_value_target]
lines: [won_value_target]
format: {goal_month: month, won_value_base: money, won_value_target: money, attainment: percent}
unfiltered: [pipeline]
size: {w: 12, h: 6}
static_dashboard: true
may_be_empty: An account without monthly goals of won value in the base currency has none to show.
---
with wanted as (
    select
        goals.assignee_type,
        goals.period_start,
        goals.target,
        goals.actual,
        goals.deals_without_rate
    from marts.fct_goal_period as goals
    inner join ops.ops_account as account on goals.target_currency = account.base_currency
    left join marts.dim_user as users on goals.assignee_type = 'person' and goals.assignee_id = users.user_id
    where
        goals.is_active
        and goals.goal_type = 'deals_won'
        and goals.tracking_metric = 'sum'
        and goals.goal_interval = 'monthly'
        [[and goals.period_start in (select date_day from marts.dim_date where {{period}})]]
        [[and users.user_id in (select user_id from marts.dim_user where {{owner}})]]
        [[and users.user_id in (select user_id from marts.dim_user where {{team}})]]
),

-- The goals of the company, of teams and of people are about the same deals: one kind at a time.
kinds as (
    select min(assignee_type) as assignee_type
    from wanted
)

select
    wanted.period_start as goal_month,
    sum(wanted.actual) as won_value_base,
    sum(wanted.target) as won_value_target,
    round(sum(wanted.actual) / nullif(sum(wanted.target), 0), 4) as attainment,
    sum(wanted.deals_without_rate) as deals_without_rate
from wanted
inner join kinds on wanted.assignee_type = kinds.assignee_type
group by wanted.period_start
order by wanted.period_start
