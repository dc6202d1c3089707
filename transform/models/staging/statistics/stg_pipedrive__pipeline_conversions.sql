with source as (
    {{ raw_columns('pipeline_conversions', {
        'pipeline_id': 'bigint',
        'user_id': 'bigint',
        'won_conversion': 'numeric',
        'lost_conversion': 'numeric',
        'start_date': 'date',
        'end_date': 'date',
        'stage_conversions': 'jsonb',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        pipeline_id,
        user_id,
        -- numerics
        won_conversion,
        lost_conversion,
        -- booleans
        _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        start_date,
        end_date,
        _sdc_deleted_at as deleted_at,
        -- json
        case when jsonb_typeof(stage_conversions) = 'array' then stage_conversions end as stage_conversions,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
