with source as (
    {{ raw_columns('roles', {
        'id': 'bigint',
        'parent_role_id': 'bigint',
        'name': 'text',
        'level': 'bigint',
        'assignment_count': 'text',
        'active_flag': 'boolean',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as role_id,
        parent_role_id,
        -- text
        name,
        -- numerics
        level,
        {{ try_bigint("assignment_count") }} as n_users,
        -- booleans
        active_flag is false or _sdc_deleted_at is not null as is_deleted,
        -- times
        _sdc_deleted_at as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
