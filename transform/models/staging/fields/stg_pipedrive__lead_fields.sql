with source as (
    {{ raw_columns('lead_fields', {
        'key': 'text',
        'name': 'text',
        'field_type': 'text',
        'order_nr': 'bigint',
        'mandatory_flag': 'boolean',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'options': 'jsonb',
        'active_flag': 'boolean',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        key as field_code,
        -- text
        name as field_name,
        field_type,
        -- numerics
        order_nr,
        -- booleans
        coalesce(key ~ '^[0-9a-f]{40}$', false) as is_custom_field,
        mandatory_flag as is_mandatory,
        active_flag is false or _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        add_time,
        update_time,
        case
            when active_flag is false then coalesce(update_time, _sdc_deleted_at)
            else _sdc_deleted_at
        end as deleted_at,
        -- json
        case when jsonb_typeof(options) = 'array' then options end as options,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
