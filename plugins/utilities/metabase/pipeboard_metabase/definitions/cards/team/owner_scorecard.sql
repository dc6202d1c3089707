---
display: table
columns:
  - owner_name
  - n_created
  - n_won
  - n_lost
  - win_rate_by_close_date
  - won_value_base
  - avg_won_value_base
  - n_activities_done
  - n_activities_overdue
  - n_pushes
  - won_value_target
  - deals_without_rate
format:
  win_rate_by_close_date: percent
  won_value_base: money
  avg_won_value_base: money
  won_value_target: money
unfiltered: [pipeline]
size: {w: 24, h: 8}
static_dashboard: true
deals:
  n_created: created
  n_won: won
  n_lost: lost
  win_rate_by_close_date: closed
  won_value_base: won
  avg_won_value_base: won
---
select
    translated(users.display_name) as owner_name,
    sum(scores.n_created) as n_created,
    sum(scores.n_won) as n_won,
    sum(scores.n_lost) as n_lost,
    round(sum(scores.n_won)::numeric / nullif(sum(scores.n_won) + sum(scores.n_lost), 0), 4) as win_rate_by_close_date,
    sum(scores.won_value_base) as won_value_base,
    round(sum(scores.won_value_base) / nullif(sum(scores.n_won), 0), 2) as avg_won_value_base,
    sum(scores.n_activities_done) as n_activities_done,
    sum(scores.n_activities_overdue) as n_activities_overdue,
    sum(scores.n_pushes) as n_pushes,
    sum(scores.won_value_target) as won_value_target,
    sum(scores.deals_without_rate) as deals_without_rate
from marts.rpt_owner_scorecard as scores
inner join marts.dim_user as users on scores.owner_id = users.user_id
where
    true
    [[and scores.month in (select month_start from marts.dim_date where {{period}})]]
    of_owners(scores)
group by users.display_name
order by won_value_base desc, owner_name
