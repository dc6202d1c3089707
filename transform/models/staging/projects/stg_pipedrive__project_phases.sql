{{ config(enabled='project_phases' in var('extra_streams')) }}
with source as (
    {{ raw_columns('project_phases', {
        'id': 'bigint',
        'board_id': 'bigint',
        'name': 'text',
        'order_nr': 'bigint',
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
        id as project_phase_id,
        board_id as project_board_id,
        -- text
        name,
        -- numerics
        order_nr,
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
