{#- One row per owner and month: figures of other reports side by side, without definitions of its own. -#}
{#- A view: its inputs are small, so that reading it takes about as long as reading a table. -#}
{{ config(materialized='published_view') }}
with deals as (
    select
        month,
        owner_id,
        sum(n_created) as n_created,
        sum(n_won) as n_won,
        sum(n_lost) as n_lost,
        sum(won_value_base) as won_value_base,
        sum(won_cycle_days) as won_cycle_days,
        sum(n_won_with_cycle) as n_won_with_cycle,
        sum(won_deals_without_rate) as deals_without_rate
    from {{ ref('rpt_deals_monthly') }}
    group by month, owner_id
),

activities as (
    select
        month,
        owner_id,
        sum(n_done) as n_done,
        sum(n_overdue) as n_overdue,
        sum(n_on_time) as n_on_time,
        sum(n_done_with_due_date) as n_done_with_due_date
    from {{ ref('rpt_activities_monthly') }}
    group by month, owner_id
),

slippage as (
    select
        month,
        owner_id,
        sum(n_pushes) as n_pushes,
        sum(days_pushed) as days_pushed
    from {{ ref('rpt_slippage') }}
    group by month, owner_id
),

goals as (
    select
        {{ month_of('period_start') }} as month,
        assignee_id as owner_id,
        sum(target) as won_value_target,
        sum(actual) as won_value_actual
    from {{ ref('fct_goal_period') }}
    where
        assignee_type = 'person'
        and goal_type = 'deals_won'
        and tracking_metric = 'sum'
        and goal_interval = 'monthly'
        and target_currency = {{ base_currency() }}
    group by {{ month_of('period_start') }}, assignee_id
),

keys as (
    select
        month,
        owner_id
    from deals
    union
    select
        month,
        owner_id
    from activities
    union
    select
        month,
        owner_id
    from slippage
    union
    select
        month,
        owner_id
    from goals
)

select
    keys.month,
    keys.owner_id,
    users.name as owner_name,
    coalesce(users.is_active, false) as is_active_owner,
    coalesce(deals.n_created, 0)::integer as n_created,
    coalesce(deals.n_won, 0)::integer as n_won,
    coalesce(deals.n_lost, 0)::integer as n_lost,
    {{ ratio('deals.n_won', 'deals.n_won + deals.n_lost') }} as win_rate_by_close_date,
    coalesce(deals.won_value_base, 0) as won_value_base,
    round(deals.won_value_base / nullif(deals.n_won, 0), 2) as avg_won_value_base,
    round(deals.won_cycle_days / nullif(deals.n_won_with_cycle, 0), 2) as avg_cycle_days,
    coalesce(activities.n_done, 0)::integer as n_activities_done,
    coalesce(activities.n_overdue, 0)::integer as n_activities_overdue,
    {{ ratio('activities.n_on_time', 'activities.n_done_with_due_date') }} as on_time_rate,
    coalesce(slippage.n_pushes, 0)::integer as n_pushes,
    coalesce(slippage.days_pushed, 0)::integer as days_pushed,
    goals.won_value_target,
    {{ ratio('goals.won_value_actual', 'goals.won_value_target') }} as goal_attainment,
    coalesce(deals.deals_without_rate, 0)::integer as deals_without_rate
from keys
left join deals on keys.month = deals.month and keys.owner_id = deals.owner_id
left join activities on keys.month = activities.month and keys.owner_id = activities.owner_id
left join slippage on keys.month = slippage.month and keys.owner_id = slippage.owner_id
left join goals on keys.month = goals.month and keys.owner_id = goals.owner_id
left join {{ ref('dim_user') }} as users on keys.owner_id = users.user_id
