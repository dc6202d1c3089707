{{ config(enabled='role_assignments' in var('extra_streams')) }}
with source as (
    {{ raw_columns('role_assignments', {
        'role_id': 'bigint',
        'user_id': 'bigint',
        'parent_role_id': 'bigint',
        'name': 'text',
        'type': 'text',
        'active_flag': 'boolean',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        role_id,
        user_id,
        parent_role_id,
        -- text
        name as role_name,
        type as assignment_type,
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
