---
display: combo
columns: [month, n_new, n_returning, n_won_back, n_lost_customers]
x: month
y: [n_new, n_returning, n_won_back, n_lost_customers]
stacked: true
lines: [n_lost_customers]
format: {month: month}
size: {w: 12, h: 7}
static_dashboard: true
deals: {n_new: won_of_new, n_returning: won_of_returning, n_won_back: won_of_won_back, n_lost_customers: last_of_lost_customer}
---
select
    customers.month,
    sum(customers.n_new) as n_new,
    sum(customers.n_returning) as n_returning,
    sum(customers.n_won_back) as n_won_back,
    sum(customers.n_lost_customers) as n_lost_customers
from marts.rpt_customers_monthly as customers
where
    true
    [[and customers.month in (select month_start from marts.dim_date where {{period}})]]
    of_pipelines_and_owners(customers)
group by customers.month
order by customers.month
