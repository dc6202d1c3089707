{#-
    A view, like fct_deal, because the rate of an open deal changes daily, and referenced records may be loaded
    later.
-#}
{{ config(materialized='published_view') }}
with deal_lines as (
    select * from {{ ref('stg_pipedrive__deal_products_sync') }}
),

-- A removed line is missing in its deal's list; the API returns no record of the removal.
lines as (
    select products.*
    from {{ ref('stg_pipedrive__deal_products') }} as products
    left join deal_lines on products.deal_id = deal_lines.deal_id
    where
        not products.is_deleted
        and coalesce(deal_lines.deal_product_ids @> to_jsonb(products.deal_product_id), true)
),

deals as (
    select
        deal_id,
        currency,
        fx_rate
    from {{ ref('fct_deal') }}
),

products as (
    select product_id from {{ ref('dim_product') }}
)

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
    -- at the same rate as the deal, so that lines and deal have the same sum
    case when lines.currency = deals.currency then round(lines.line_sum * deals.fx_rate, 2) end as line_sum_base,
    case
        when lines.currency = deals.currency
            then round(
                case
                    when lines.discount_type = 'amount' then lines.discount
                    else lines.quantity * lines.item_price * lines.discount / 100
                end * deals.fx_rate, 2
            )
    end as discount_base,
    coalesce(lines.is_enabled, true) as is_enabled,
    lines.billing_frequency,
    lines.billing_frequency_cycles,
    lines.billing_start_date,
    lines.add_time,
    lines.update_time,
    lines._loaded_at
from lines
inner join deals on lines.deal_id = deals.deal_id
left join products on lines.product_id = products.product_id
