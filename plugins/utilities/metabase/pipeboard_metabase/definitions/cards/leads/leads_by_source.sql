---
display: table
columns: [source_name, n_leads, n_converted, lead_conversion_rate, n_archived, n_won, won_value_base, deals_without_rate]
format: {lead_conversion_rate: percent, won_value_base: money}
unfiltered: [pipeline]
size: {w: 24, h: 6}
static_dashboard: true
may_be_empty: An account need not use leads.
---
select
    translated(leads.source_name) as source_name,
    sum(leads.n_leads) as n_leads,
    sum(leads.n_converted) as n_converted,
    round(sum(leads.n_converted)::numeric / nullif(sum(leads.n_leads), 0), 4) as lead_conversion_rate,
    sum(leads.n_archived) as n_archived,
    sum(leads.n_won) as n_won,
    sum(leads.won_value_base) as won_value_base,
    sum(leads.deals_without_rate) as deals_without_rate
from marts.rpt_leads_monthly as leads
where
    true
    [[and leads.month in (select month_start from marts.dim_date where {{period}})]]
    of_owners(leads)
group by leads.source_name
order by n_leads desc, source_name
