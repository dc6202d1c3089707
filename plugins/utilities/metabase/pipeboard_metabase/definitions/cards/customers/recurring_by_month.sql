---
display: bar
columns: [period_start, new_arr_base, one_time_value_base, new_mrr_base, deals_without_rate]
x: period_start
y: [new_arr_base, one_time_value_base]
format: {period_start: period, new_arr_base: money, one_time_value_base: money, new_mrr_base: money}
size: {w: 12, h: 8}
static_dashboard: true
rows_overlap: true
may_be_empty: An account need not use products.
grains: [month, quarter]
---
select
    period_start() as period_start,
    sum(new_arr_base) as new_arr_base,
    sum(one_time_value_base) as one_time_value_base,
    sum(new_mrr_base) as new_mrr_base,
    sum(deals_without_rate) as deals_without_rate
from marts.rpt_products_monthly as sold
inner join marts.dim_date as dates on sold.month = dates.date_day
where
    true
    [[and period_start() in (select period_start() from marts.dim_date where {{period}})]]
    of_pipelines_and_owners()
group by period_start
order by period_start
