---
display: table
columns: [owner_name, month, won_value_target, goal_attainment]
format: {month: month, won_value_target: money, goal_attainment: percent}
size: {w: 24, h: 6}
may_be_empty: Only owners with a monthly goal of won value in the base currency have one.
filters:
  period: marts.dim_date.date_day
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select
    translated(scores.owner_name) as owner_name,
    scores.month,
    scores.won_value_target,
    scores.goal_attainment
from marts.rpt_owner_scorecard as scores
where
    scores.won_value_target is not null
    [[and scores.month in (select month_start from marts.dim_date where {{period}})]]
    [[and scores.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and scores.owner_id in (select user_id from marts.dim_user where {{team}})]]
order by scores.month desc, scores.goal_attainment desc nulls last, owner_name
