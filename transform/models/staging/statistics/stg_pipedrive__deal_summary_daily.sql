with source as (
    {{ raw_columns('deal_summary_daily', {
        'as_of': 'timestamptz',
        'total_count': 'bigint',
        'total_currency_converted_value': 'numeric',
        'values_total': 'jsonb',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- times
        as_of,
        -- numerics
        total_count as n_deals,
        total_currency_converted_value as value_converted,
        -- json
        case when jsonb_typeof(values_total) = 'object' then values_total end as values_total,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
