---
display: combo
columns: [month, n_deals, n_responded, no_response_rate]
x: month
y: [n_deals, n_responded, no_response_rate]
lines: [no_response_rate]
right_axis: [no_response_rate]
format: {month: month, no_response_rate: percent}
size: {w: 12, h: 6}
static_dashboard: true
---
select
    month,
    sum(n_deals) as n_deals,
    sum(n_responded) as n_responded,
    round((sum(n_deals) - sum(n_responded))::numeric / nullif(sum(n_deals), 0), 4) as no_response_rate
from marts.rpt_first_response
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    of_pipelines_and_owners()
group by month
order by month
