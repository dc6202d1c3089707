---
display: area
columns: [date_day, open_value_base, weighted_value_base, deals_without_rate]
x: date_day
y: [open_value_base, weighted_value_base]
format: {date_day: date, open_value_base: money, weighted_value_base: money}
size: {w: 12, h: 6}
static_dashboard: true
rows_overlap: true
---
select
    date_day,
    sum(open_value_base) as open_value_base,
    sum(weighted_value_base) as weighted_value_base,
    sum(deals_without_rate) as deals_without_rate
from marts.rpt_pipeline_daily
where
    true
    [[and date_day in (select date_day from marts.dim_date where {{period}})]]
    of_pipelines_and_owners()
group by date_day
order by date_day
