with source as (
    {{ raw_columns('deal_products_sync', {
        'deal_id': 'bigint',
        'line_ids': 'jsonb',
        'update_time': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        deal_id,
        -- lists
        case when jsonb_typeof(line_ids) = 'array' then line_ids end as deal_product_ids,
        -- dates and times
        update_time as deal_update_time,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
