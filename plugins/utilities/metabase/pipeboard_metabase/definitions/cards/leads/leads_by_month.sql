---
display: combo
columns: [period_start, n_leads, n_converted, lead_conversion_rate]
x: period_start
y: [n_leads, n_converted, lead_conversion_rate]
lines: [lead_conversion_rate]
right_axis: [lead_conversion_rate]
format: {period_start: period, lead_conversion_rate: percent}
unfiltered: [pipeline]
size: {w: 12, h: 6}
static_dashboard: true
may_be_empty: An account need not use leads.
grains: [month, quarter]
---
select
    period_start() as period_start,
    sum(n_leads) as n_leads,
    sum(n_converted) as n_converted,
    round(sum(n_converted)::numeric / nullif(sum(n_leads), 0), 4) as lead_conversion_rate
from marts.rpt_leads_monthly as leads
inner join marts.dim_date as dates on leads.month = dates.date_day
where
    true
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_owners()
group by period_start
order by period_start
