---
display: bar
columns: [month, new_value_base, returning_value_base, won_back_value_base, deals_without_rate]
x: month
y: [new_value_base, returning_value_base, won_back_value_base]
stacked: true
format: {month: month, new_value_base: money, returning_value_base: money, won_back_value_base: money}
size: {w: 12, h: 7}
static_dashboard: true
deals: {new_value_base: won_of_new, returning_value_base: won_of_returning, won_back_value_base: won_of_won_back}
---
select
    customers.month,
    sum(customers.new_value_base) as new_value_base,
    sum(customers.returning_value_base) as returning_value_base,
    sum(customers.won_back_value_base) as won_back_value_base,
    sum(customers.deals_without_rate) as deals_without_rate
from marts.rpt_customers_monthly as customers
where
    true
    [[and customers.month in (select month_start from marts.dim_date where {{period}})]]
    of_pipelines_and_owners(customers)
group by customers.month
order by customers.month
