{#-
    The options of every field with their latest known label. A deleted option is missing in the source's list, but
    old records still contain it, so it stays here with its last label.
-#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='delete+insert',
    unique_key=['entity', 'field_code', 'option_id'],
    full_refresh=false,
    indexes=[{'columns': ['entity', 'field_code', 'option_id'], 'unique': true}],
    on_schema_change='append_new_columns'
) }}
with fields as (
    select * from {{ ref('int_fields') }}
    where jsonb_typeof(options) = 'array'
),

listed as (
    select distinct on (fields.entity, fields.field_code, option.value ->> 'id')
        fields.entity,
        fields.field_code,
        option.value ->> 'id' as option_id,
        coalesce(option.value ->> 'label', '#' || (option.value ->> 'id')) as label,
        option.position,
        fields.is_deleted,
        fields._extracted_at as seen_at
    from fields
    cross join lateral jsonb_array_elements(fields.options) with ordinality as option (value, position)
    where option.value ->> 'id' is not null
    order by fields.entity asc, fields.field_code asc, option.value ->> 'id' asc, option.position asc
),

remembered as (
    {% if is_incremental() -%}
    select * from {{ this }}
    {%- else -%}
    select
        *,
        seen_at as first_seen_at,
        seen_at as last_seen_at
    from listed
    where false
    {%- endif %}
)

select
    coalesce(listed.entity, remembered.entity) as entity,
    coalesce(listed.field_code, remembered.field_code) as field_code,
    coalesce(listed.option_id, remembered.option_id) as option_id,
    coalesce(listed.label, remembered.label) as label,
    coalesce(listed.position, remembered.position) as position,
    listed.option_id is null or listed.is_deleted as is_deleted,
    coalesce(remembered.first_seen_at, listed.seen_at) as first_seen_at,
    coalesce(listed.seen_at, remembered.last_seen_at) as last_seen_at
from listed
full join remembered
    on
        listed.entity = remembered.entity
        and listed.field_code = remembered.field_code
        and listed.option_id = remembered.option_id
