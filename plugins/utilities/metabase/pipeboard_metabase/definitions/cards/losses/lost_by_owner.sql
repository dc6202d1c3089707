---
display: row
columns: [owner_name, n_lost, lost_value_base, deals_without_rate]
x: owner_name
y: n_lost
format: {lost_value_base: money}
size: {w: 12, h: 6}
static_dashboard: true
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.name
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select
    translated(users.name) as owner_name,
    sum(lost.n_lost) as n_lost,
    sum(lost.lost_value_base) as lost_value_base,
    sum(lost.deals_without_rate) as deals_without_rate
from marts.rpt_lost_reasons as lost
inner join marts.dim_user as users on lost.owner_id = users.user_id
where
    true
    [[and lost.month in (select month_start from marts.dim_date where {{period}})]]
    [[and lost.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and lost.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and lost.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by users.name
order by n_lost desc, owner_name
