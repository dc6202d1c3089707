{#- What was sold of each product, by the month the deal was won in, and how much of it recurs. -#}
with lines as (
    select
        won.closed_month as month,
        coalesce(won.pipeline_id, -1) as pipeline_id,
        coalesce(won.closing_owner_id, -1) as owner_id,
        coalesce(lines.product_id, -1) as product_id,
        lines.deal_id,
        lines.quantity,
        lines.line_sum_base,
        lines.discount_base,
        -- months that one payment covers; null for what is paid once
        case lines.billing_frequency
            when 'weekly' then 12.0 / 52
            when 'monthly' then 1
            when 'quarterly' then 3
            when 'semi-annually' then 6
            when 'annually' then 12
        end as months_paid
    from {{ ref('fct_deal_product') }} as lines
    inner join {{ ref('int_counted_deals') }} as won on lines.deal_id = won.deal_id
    where won.is_won and lines.is_enabled
)

select
    month,
    pipeline_id,
    owner_id,
    product_id,
    count(distinct deal_id)::integer as n_deals,
    coalesce(sum(quantity), 0) as n_units,
    coalesce(sum(line_sum_base), 0) as sold_value_base,
    coalesce(sum(discount_base), 0) as discount_value_base,
    coalesce(sum(line_sum_base) filter (where months_paid is null), 0) as one_time_value_base,
    coalesce(round(sum(line_sum_base / months_paid), 2), 0) as new_mrr_base,
    coalesce(round(sum(line_sum_base / months_paid) * 12, 2), 0) as new_arr_base,
    (count(distinct deal_id) filter (where line_sum_base is null))::integer as deals_without_rate
from lines
group by month, pipeline_id, owner_id, product_id
