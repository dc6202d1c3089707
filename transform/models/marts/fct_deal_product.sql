{#-
    A view, like fct_deal, because the rate of an open deal changes daily, and referenced records may be loaded
    later. Without `with`, for the reason that int_deal_values has.
-#}
{{ config(materialized='published_view') }}
select
    lines.deal_product_id,
    lines.deal_id,
    case when lines.product_id is not null then coalesce(products.product_id, -1) end as product_id,
    lines.product_variation_id,
    lines.name,
    lines.quantity,
    lines.item_price,
    lines.discount,
    lines.discount_type,
    lines.tax,
    lines.tax_method,
    lines.line_sum,
    lines.currency,
    {{ of_line_in_base('line_sum') }} as line_sum_base,
    {{ of_line_in_base('discount_sum') }} as discount_base,
    lines.is_enabled,
    lines.billing_frequency,
    lines.billing_frequency_cycles,
    lines.billing_start_date,
    lines.add_time,
    lines.update_time,
    lines._loaded_at
from {{ ref('int_deal_product_lines') }} as lines
inner join {{ ref('fct_deal') }} as deals on lines.deal_id = deals.deal_id
left join {{ ref('dim_product') }} as products on lines.product_id = products.product_id
