---
display: bar
columns: [month, new_arr_base, one_time_value_base, new_mrr_base, deals_without_rate]
x: month
y: [new_arr_base, one_time_value_base]
format: {month: month, new_arr_base: money, one_time_value_base: money, new_mrr_base: money}
size: {w: 12, h: 8}
static_dashboard: true
rows_overlap: true
may_be_empty: An account need not use products.
filters:
  period: marts.dim_date.date_day
  pipeline: marts.dim_pipeline.display_name
  owner: marts.dim_user.display_name
  team: marts.dim_user.team_name
---
select
    sold.month,
    sum(sold.new_arr_base) as new_arr_base,
    sum(sold.one_time_value_base) as one_time_value_base,
    sum(sold.new_mrr_base) as new_mrr_base,
    sum(sold.deals_without_rate) as deals_without_rate
from marts.rpt_products_monthly as sold
where
    true
    [[and sold.month in (select month_start from marts.dim_date where {{period}})]]
    [[and sold.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
    [[and sold.owner_id in (select user_id from marts.dim_user where {{owner}})]]
    [[and sold.owner_id in (select user_id from marts.dim_user where {{team}})]]
group by sold.month
order by sold.month
