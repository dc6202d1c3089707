{{ config(enabled='product_variations' in var('extra_streams')) }}
with source as (
    {{ raw_columns('product_variations', {
        'id': 'bigint',
        'product_id': 'bigint',
        'name': 'text',
        'prices': 'jsonb',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as product_variation_id,
        product_id,
        -- text
        name,
        -- booleans
        _sdc_deleted_at is not null as is_deleted,
        -- times
        _sdc_deleted_at as deleted_at,
        -- json
        case when jsonb_typeof(prices) = 'array' then prices end as prices,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
