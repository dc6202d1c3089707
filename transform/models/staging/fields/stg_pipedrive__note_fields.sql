{{ config(enabled='note_fields' in var('extra_streams')) }}
with source as (
    {{ raw_columns('note_fields', {
        'key': 'text',
        'name': 'text',
        'field_type': 'text',
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
        -- booleans
        coalesce(key ~ '^[0-9a-f]{40}$', false) as is_custom_field,
        active_flag is false or _sdc_deleted_at is not null as is_deleted,
        -- times
        _sdc_deleted_at as deleted_at,
        -- json
        case when jsonb_typeof(options) = 'array' then options end as options,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
