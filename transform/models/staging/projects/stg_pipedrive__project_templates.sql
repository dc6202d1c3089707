{{ config(enabled='project_templates' in var('extra_streams')) }}
with source as (
    {{ raw_columns('project_templates', {
        'id': 'bigint',
        'projects_board_id': 'bigint',
        'owner_id': 'bigint',
        'title': 'text',
        'description': 'text',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as project_template_id,
        projects_board_id as project_board_id,
        owner_id,
        -- text
        title,
        description,
        -- booleans
        _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        add_time,
        update_time,
        _sdc_deleted_at as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
