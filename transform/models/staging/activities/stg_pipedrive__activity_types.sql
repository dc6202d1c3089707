with source as (
    {{ raw_columns('activity_types', {
        'id': 'bigint',
        'key_string': 'text',
        'name': 'text',
        'icon_key': 'text',
        'color': 'text',
        'order_nr': 'bigint',
        'is_custom_flag': 'boolean',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'active_flag': 'boolean',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as activity_type_id,
        -- text
        key_string as activity_type,
        name,
        icon_key,
        color,
        -- numerics
        order_nr,
        -- booleans
        is_custom_flag as is_custom,
        active_flag is false or _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        add_time,
        update_time,
        case
            when active_flag is false then coalesce(update_time, _sdc_deleted_at)
            else _sdc_deleted_at
        end as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
