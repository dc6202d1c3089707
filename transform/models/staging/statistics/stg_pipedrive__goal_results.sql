{{ config(enabled='goal_results' in var('extra_streams')) }}
with source as (
    {{ raw_columns('goal_results', {
        'goal_id': 'text',
        'progress': 'numeric',
        'period_start': 'date',
        'period_end': 'date',
        'goal': 'jsonb',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        goal_id,
        -- numerics
        progress,
        -- booleans
        _sdc_deleted_at is not null as is_deleted,
        -- times
        period_start,
        period_end,
        _sdc_deleted_at as deleted_at,
        -- json
        case when jsonb_typeof(goal) = 'object' then goal end as goal,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
