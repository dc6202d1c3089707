---
display: row
columns: [owner_name, n_leads, n_converted]
x: owner_name
y: [n_leads, n_converted]
unfiltered: [pipeline]
size: {w: 12, h: 6}
may_be_empty: An account need not use leads.
filters:
  period: marts.dim_date.date_day
  owner: marts.dim_user.name
  team: marts.dim_user.team_name
---
select
    translated(users.name) as owner_name,
    sum(leads.n_leads) as n_leads,
    sum(leads.n_converted) as n_converted
from marts.rpt_leads_monthly as leads
inner join marts.dim_user as users on leads.owner_id = users.user_id
where
    true
    [[and leads.month in (select month_start from marts.dim_date where {{period}})]]
    [[and leads.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and leads.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by users.name
order by n_leads desc, owner_name
