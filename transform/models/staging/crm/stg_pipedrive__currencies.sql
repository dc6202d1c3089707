with source as (
    {{ raw_columns('currencies', {
        'id': 'bigint',
        'code': 'text',
        'name': 'text',
        'symbol': 'text',
        'decimal_points': 'bigint',
        'active_flag': 'boolean',
        'is_custom_flag': 'boolean',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as currency_id,
        -- text
        code as currency,
        name,
        symbol,
        -- numerics
        decimal_points,
        -- booleans
        coalesce(active_flag, true) as is_active,
        is_custom_flag as is_custom,
        _sdc_deleted_at is not null as is_deleted,
        -- times
        _sdc_deleted_at as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
