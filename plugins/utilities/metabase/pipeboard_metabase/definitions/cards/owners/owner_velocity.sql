---
display: table
columns: [owner_name, n_opportunities, win_rate, avg_won_value_base, avg_cycle_days, velocity_base_per_day, deals_without_rate]
format:
  win_rate: percent
  avg_won_value_base: money
  avg_cycle_days: days
  velocity_base_per_day: money
unfiltered: [period]
size: {w: 12, h: 7}
static_dashboard: true
filters: {owner: marts.dim_user.name, team: marts.dim_user.team_name}
---
select
    translated(users.name) as owner_name,
    velocity.n_opportunities,
    velocity.win_rate,
    velocity.avg_won_value_base,
    velocity.avg_cycle_days,
    velocity.velocity_base_per_day,
    velocity.deals_without_rate
from marts.rpt_velocity as velocity
inner join marts.dim_user as users on velocity.owner_id = users.user_id
where
    velocity.scope = 'owner'
    [[and velocity.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and velocity.owner_id in (select user_id from marts.dim_user where {{team}})]]
order by velocity.velocity_base_per_day desc nulls last, owner_name
