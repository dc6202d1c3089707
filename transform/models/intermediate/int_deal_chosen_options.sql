{#-
    The options of a set, one per row, and the option of a single-choice field. Labels are not stored, because they
    change independently.
-#}
{{ config(materialized='published_view') }}
with registry as (
    select
        field_code,
        column_name
    from {{ ref('int_custom_field_registry') }}
    where entity = 'deal' and field_type in ('enum', 'set')
)

select
    field_values.deal_id,
    field_values.field_code,
    registry.column_name,
    element.id as option_id
from {{ ref('int_deal_custom_field_values') }} as field_values
inner join registry on field_values.field_code = registry.field_code
-- as a lateral join, so that a condition on deals reaches the table below
cross join
    lateral (
        select distinct listed.id
        from jsonb_array_elements_text(field_values.value) as listed (id)
    ) as element
where jsonb_typeof(field_values.value) = 'array'
union all
select
    field_values.deal_id,
    field_values.field_code,
    registry.column_name,
    field_values.value_text as option_id
from {{ ref('int_deal_custom_field_values') }} as field_values
inner join registry on field_values.field_code = registry.field_code
where jsonb_typeof(field_values.value) <> 'array'
