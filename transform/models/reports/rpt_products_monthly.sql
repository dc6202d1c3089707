{#- What was sold of each product, by the month the deal was won in, and how much of it recurs. -#}
with won_lines as (
    select
        deals.closed_month as month,
        coalesce(deals.pipeline_id, -1) as pipeline_id,
        coalesce(deals.closing_owner_id, -1) as owner_id,
        coalesce(products.product_id, -1) as product_id,
        lines.deal_id,
        lines.quantity,
        {{ of_line_in_base('line_sum') }} as line_sum_base,
        {{ of_line_in_base('discount_sum') }} as discount_base,
        -- months that one payment covers; null for what is paid once
        case lines.billing_frequency
            when 'weekly' then 12.0 / 52
            when 'monthly' then 1
            when 'quarterly' then 3
            when 'semi-annually' then 6
            when 'annually' then 12
        end as months_paid
    from {{ ref('int_deal_product_lines') }} as lines
    inner join {{ ref('int_counted_deals') }} as deals on lines.deal_id = deals.deal_id
    left join {{ ref('dim_product') }} as products on lines.product_id = products.product_id
    where deals.is_won and lines.is_enabled
),

-- Deals are counted once by hash; count(distinct) would sort all lines.
won_products as (
    select
        month,
        pipeline_id,
        owner_id,
        product_id,
        deal_id,
        sum(quantity) as n_units,
        sum(line_sum_base) as value_base,
        sum(discount_base) as discount_base,
        sum(line_sum_base) filter (where months_paid is null) as one_time_base,
        sum(line_sum_base / months_paid) as monthly_base,
        bool_or(line_sum_base is null) as fx_missing
    from won_lines
    group by month, pipeline_id, owner_id, product_id, deal_id
)

select
    month,
    pipeline_id,
    owner_id,
    product_id,
    count(*)::integer as n_deals,
    coalesce(sum(n_units), 0) as n_units,
    coalesce(sum(value_base), 0) as sold_value_base,
    coalesce(sum(discount_base), 0) as discount_value_base,
    coalesce(sum(one_time_base), 0) as one_time_value_base,
    coalesce(round(sum(monthly_base), 2), 0) as new_mrr_base,
    coalesce(round(sum(monthly_base) * 12, 2), 0) as new_arr_base,
    {{ deals_without_rate() }} as deals_without_rate
from won_products
group by month, pipeline_id, owner_id, product_id
