---
display: row
columns: [owner_name, won_value_base, n_won, deals_without_rate]
x: owner_name
y: won_value_base
format: {won_value_base: money}
size: {w: 12, h: 7}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select
    translated(scores.owner_name) as owner_name,
    sum(scores.won_value_base) as won_value_base,
    sum(scores.n_won) as n_won,
    sum(scores.deals_without_rate) as deals_without_rate
from marts.rpt_owner_scorecard as scores
where
    true
    [[and scores.month in (select month_start from marts.dim_date where {{period}})]]
    [[and scores.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and scores.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by scores.owner_id, scores.owner_name
having sum(scores.n_won) > 0
order by won_value_base desc, owner_name
