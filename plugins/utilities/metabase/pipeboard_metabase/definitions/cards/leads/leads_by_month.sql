---
display: combo
columns: [month, n_leads, n_converted, lead_conversion_rate]
x: month
y: [n_leads, n_converted, lead_conversion_rate]
lines: [lead_conversion_rate]
right_axis: [lead_conversion_rate]
format: {month: month, lead_conversion_rate: percent}
unfiltered: [pipeline]
size: {w: 12, h: 6}
static_dashboard: true
may_be_empty: An account need not use leads.
filters:
  period: marts.dim_date.date_day
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    month,
    sum(n_leads) as n_leads,
    sum(n_converted) as n_converted,
    round(sum(n_converted)::numeric / nullif(sum(n_leads), 0), 4) as lead_conversion_rate
from marts.rpt_leads_monthly
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and owner_id in (select user_id from marts.dim_user where {{team}})]]
group by month
order by month
