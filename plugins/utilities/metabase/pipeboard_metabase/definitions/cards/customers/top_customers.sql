---
display: table
columns: [customer_name, customer_status, n_won, won_value_base, first_won_date, last_won_date, deals_without_rate]
format: {won_value_base: money, first_won_date: date, last_won_date: date}
period: all
size: {w: 24, h: 8}
static_dashboard: true
deals: {n_won: won_of_customer, won_value_base: won_of_customer}
---
select
    customers.customer_name,
    translated(customers.customer_status) as customer_status,
    sum(customers.n_won) as n_won,
    sum(customers.won_value_base) as won_value_base,
    customers.first_won_date,
    customers.last_won_date,
    sum(customers.deals_without_rate) as deals_without_rate
from marts.rpt_customers as customers
where
    true
    of_pipelines_and_owners(customers)
group by
    customers.customer_type,
    customers.customer_id,
    customers.customer_name,
    customers.customer_status,
    customers.first_won_date,
    customers.last_won_date
order by won_value_base desc, customers.customer_name, customers.customer_id
limit 200
