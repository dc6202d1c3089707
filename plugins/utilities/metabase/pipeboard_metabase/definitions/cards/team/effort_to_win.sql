---
display: line
columns: [month, activities_per_won_deal, touches_per_won_deal]
x: month
y: [activities_per_won_deal, touches_per_won_deal]
format: {month: month, activities_per_won_deal: decimal, touches_per_won_deal: decimal}
size: {w: 12, h: 6}
static_dashboard: true
---
select
    month,
    round(sum(n_activities)::numeric / nullif(sum(n_won), 0), 2) as activities_per_won_deal,
    round(sum(n_touches)::numeric / nullif(sum(n_won), 0), 2) as touches_per_won_deal
from marts.rpt_won_effort
where
    true
    [[and month in (select month_start from marts.dim_date where {{period}})]]
    of_pipelines_and_owners()
group by month
order by month
