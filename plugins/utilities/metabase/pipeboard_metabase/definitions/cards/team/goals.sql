---
display: table
columns: [title, assignee_name, goal_start, goal_end, target, actual, attainment, target_currency, deals_without_rate]
format: {goal_start: date, goal_end: date, target: decimal, actual: decimal, attainment: percent}
static_dashboard: true
unfiltered: [pipeline]
size: {w: 24, h: 7}
may_be_empty: An account without goals, or one whose goals are not synced, has none to show.
---
select
    goals.title,
    translated(users.display_name) as assignee_name,
    goals.period_start as goal_start,
    goals.period_end as goal_end,
    goals.target,
    goals.actual,
    goals.attainment,
    goals.target_currency,
    goals.deals_without_rate
from marts.fct_goal_period as goals
left join marts.dim_user as users on goals.assignee_type = 'person' and goals.assignee_id = users.user_id
where
    goals.is_active
    [[and goals.period_start in (select date_day from marts.dim_date where {{period}})]]
    [[and users.user_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and users.user_id in (select user_id from marts.dim_user where {{team}})]]
order by goals.is_running desc, goals.period_start desc, goals.attainment desc nulls last, goals.title
limit 200
