{{ config(enabled='permission_sets' in var('extra_streams')) }}
with source as (
    {{ raw_columns('permission_sets', {
        'id': 'text',
        'name': 'text',
        'app': 'text',
        'type': 'text',
        'description': 'text',
        'assignment_count': 'bigint',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as permission_set_id,
        -- text
        name,
        app,
        type as permission_set_type,
        description,
        -- numerics
        assignment_count as n_users,
        -- booleans
        _sdc_deleted_at is not null as is_deleted,
        -- times
        _sdc_deleted_at as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
