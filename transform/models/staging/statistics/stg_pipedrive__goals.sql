with source as (
    {{ raw_columns('goals', {
        'id': 'text',
        'owner_id': 'bigint',
        'assignee': 'jsonb',
        'title': 'text',
        'type': 'jsonb',
        'interval': 'text',
        'expected_outcome': 'jsonb',
        'is_active': 'boolean',
        'duration': 'jsonb',
        'report_ids': 'jsonb',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as goal_id,
        owner_id,
        {{ try_bigint("(assignee ->> 'id')") }} as assignee_id,
        -- text
        assignee ->> 'type' as assignee_type,
        title,
        type ->> 'name' as goal_type,
        interval as goal_interval,
        expected_outcome ->> 'tracking_metric' as tracking_metric,
        -- numerics
        {{ try_numeric("(expected_outcome ->> 'target')") }} as target,
        {{ try_bigint("(expected_outcome ->> 'currency_id')") }} as currency_id,
        -- booleans
        is_active,
        _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        {{ try_date("left(duration ->> 'start', 10)") }} as start_date,
        {{ try_date("left(duration ->> 'end', 10)") }} as end_date,
        _sdc_deleted_at as deleted_at,
        -- json
        case when jsonb_typeof(type -> 'params') = 'object' then type -> 'params' end as type_params,
        case when jsonb_typeof(report_ids) = 'array' then report_ids end as report_ids,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
