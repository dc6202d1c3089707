with source as (
    {{ raw_columns('deal_products', {
        'id': 'bigint',
        'deal_id': 'bigint',
        'product_id': 'bigint',
        'product_variation_id': 'bigint',
        'name': 'text',
        'comments': 'text',
        'currency': 'text',
        'item_price': 'numeric',
        'quantity': 'numeric',
        'discount': 'numeric',
        'discount_type': 'text',
        'tax': 'numeric',
        'tax_method': 'text',
        'sum': 'numeric',
        'order_nr': 'bigint',
        'billing_frequency': 'text',
        'billing_frequency_cycles': 'bigint',
        'billing_start_date': 'date',
        'is_enabled': 'boolean',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as deal_product_id,
        deal_id,
        product_id,
        product_variation_id,
        -- text
        name,
        comments,
        currency,
        discount_type,
        tax_method,
        billing_frequency,
        -- numerics
        item_price,
        quantity,
        discount,
        tax,
        sum as line_sum,
        order_nr,
        billing_frequency_cycles,
        -- booleans
        is_enabled,
        _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        billing_start_date,
        add_time,
        update_time,
        _sdc_deleted_at as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
