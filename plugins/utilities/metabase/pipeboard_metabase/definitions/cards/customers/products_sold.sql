---
display: row
columns: [product_name, sold_value_base, n_deals, n_units, discount_value_base, discount_share, new_mrr_base, deals_without_rate]
x: product_name
y: sold_value_base
format:
  sold_value_base: money
  n_units: decimal
  discount_value_base: money
  discount_share: percent
  new_mrr_base: money
size: {w: 12, h: 8}
static_dashboard: true
deals: {sold_value_base: sold, n_deals: sold}
rows_overlap: true
may_be_empty: An account need not use products.
---
select
    translated(products.display_name) as product_name,
    sum(sold.sold_value_base) as sold_value_base,
    sum(sold.n_deals) as n_deals,
    sum(sold.n_units) as n_units,
    sum(sold.discount_value_base) as discount_value_base,
    round(
        sum(sold.discount_value_base) / nullif(sum(sold.sold_value_base) + sum(sold.discount_value_base), 0), 4
    ) as discount_share,
    sum(sold.new_mrr_base) as new_mrr_base,
    sum(sold.deals_without_rate) as deals_without_rate
from marts.rpt_products_monthly as sold
inner join marts.dim_product as products on sold.product_id = products.product_id
where
    true
    [[and sold.month in (select month_start from marts.dim_date where {{period}})]]
    of_pipelines_and_owners(sold)
group by products.display_name
order by sold_value_base desc, product_name
