{#
    One row per field definition of an entity. All entities have the same structure; only the table differs.
    staged_fields('deal_fields')
#}
{% macro staged_fields(table) %}
with source as (
    {{ raw_columns(table, {
        'field_code': 'text',
        'field_name': 'text',
        'description': 'text',
        'field_type': 'text',
        'options': 'jsonb',
        'subfields': 'jsonb',
        'is_custom_field': 'boolean',
        'is_optional_response_field': 'boolean',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        field_code,
        -- text
        field_name,
        field_type,
        description,
        -- booleans
        coalesce(is_custom_field, false) as is_custom_field,
        coalesce(is_optional_response_field, false) as is_optional_response_field,
        _sdc_deleted_at is not null as is_deleted,
        -- times
        _sdc_deleted_at as deleted_at,
        -- json
        options,
        subfields,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
{% endmacro %}
