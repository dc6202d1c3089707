---
display: row
columns: [owner_name, win_rate_by_close_date, n_won, n_lost]
x: owner_name
y: win_rate_by_close_date
format: {win_rate_by_close_date: percent}
size: {w: 12, h: 7}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select
    translated(scores.owner_name) as owner_name,
    round(sum(scores.n_won)::numeric / nullif(sum(scores.n_won) + sum(scores.n_lost), 0), 4) as win_rate_by_close_date,
    sum(scores.n_won) as n_won,
    sum(scores.n_lost) as n_lost
from marts.rpt_owner_scorecard as scores
where
    true
    [[and scores.month in (select month_start from marts.dim_date where {{period}})]]
    [[and scores.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and scores.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by scores.owner_id, scores.owner_name
having sum(scores.n_won) + sum(scores.n_lost) > 0
order by win_rate_by_close_date desc, owner_name
