with source as (
    {{ raw_columns('deal_summary', {
        'pipeline_id': 'bigint',
        'status': 'text',
        'total_count': 'bigint',
        'total_currency_converted_value': 'numeric',
        'total_weighted_currency_converted_value': 'numeric',
        'as_of': 'timestamptz',
        'values_total': 'jsonb',
        'weighted_values_total': 'jsonb',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        pipeline_id,
        -- text
        status,
        -- numerics
        total_count as n_deals,
        total_currency_converted_value as value_converted,
        total_weighted_currency_converted_value as weighted_value_converted,
        -- booleans
        _sdc_deleted_at is not null as is_deleted,
        -- times
        as_of,
        _sdc_deleted_at as deleted_at,
        -- json
        case when jsonb_typeof(values_total) = 'object' then values_total end as values_total,
        case
            when jsonb_typeof(weighted_values_total) = 'object' then weighted_values_total
        end as weighted_values_total,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
