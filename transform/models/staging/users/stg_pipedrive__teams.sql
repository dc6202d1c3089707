with source as (
    {{ raw_columns('teams', {
        'id': 'bigint',
        'manager_id': 'bigint',
        'created_by_user_id': 'bigint',
        'name': 'text',
        'description': 'text',
        'active_flag': 'bigint',
        'add_time': 'timestamptz',
        'users': 'jsonb',
        'deleted_flag': 'numeric',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as team_id,
        manager_id as manager_user_id,
        created_by_user_id as creator_user_id,
        -- text
        name,
        description,
        -- booleans
        active_flag = 1 as is_active,
        coalesce(deleted_flag = 1, false) or _sdc_deleted_at is not null as is_deleted,
        -- times
        add_time,
        _sdc_deleted_at as deleted_at,
        -- json
        case when jsonb_typeof(users) = 'array' then users end as user_ids,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
