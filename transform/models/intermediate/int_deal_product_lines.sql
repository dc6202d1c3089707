{#-
    Product lines of deals, in their own currency. A line that was removed from its deal is missing in the deal's
    list; the API returns no record of the removal. Without `with`, for the reason that int_deal_values has.
-#}
{{ config(materialized='published_view') }}
select
    lines.deal_product_id,
    lines.deal_id,
    lines.product_id,
    lines.product_variation_id,
    lines.name,
    lines.quantity,
    lines.item_price,
    lines.discount,
    lines.discount_type,
    case
        when lines.discount_type = 'amount' then lines.discount
        else lines.quantity * lines.item_price * lines.discount / 100
    end as discount_sum,
    lines.tax,
    lines.tax_method,
    lines.line_sum,
    lines.currency,
    coalesce(lines.is_enabled, true) as is_enabled,
    lines.billing_frequency,
    lines.billing_frequency_cycles,
    lines.billing_start_date,
    lines.add_time,
    lines.update_time,
    lines._loaded_at
from {{ ref('stg_pipedrive__deal_products') }} as lines
left join {{ ref('stg_pipedrive__deal_products_sync') }} as lists on lines.deal_id = lists.deal_id
where
    not lines.is_deleted
    and coalesce(lists.deal_product_ids @> to_jsonb(lines.deal_product_id), true)
