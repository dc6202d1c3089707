with source as (
    {{ raw_columns('lead_labels', {
        'id': 'text',
        'name': 'text',
        'color': 'text',
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
        id as lead_label_id,
        -- text
        name,
        color,
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
