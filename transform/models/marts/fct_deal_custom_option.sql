{#- What a set holds, one by one: the text in deal_wide is to be read, this is to be counted by. -#}
{{ config(materialized='published_view') }}
with registry as (
    select * from {{ ref('int_custom_field_registry') }}
    where entity = 'deal' and field_type in ('enum', 'set')
),

options as (
    select * from {{ ref('int_field_options') }}
    where entity = 'deal'
),

chosen as (
    select
        field_values.deal_id,
        field_values.field_code,
        registry.column_name,
        element.id as option_id
    from {{ ref('int_deal_custom_field_values') }} as field_values
    inner join registry on field_values.field_code = registry.field_code
    -- value by value: a condition on deals then reaches the table below
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
)

select
    chosen.deal_id,
    chosen.field_code as field_key,
    chosen.column_name,
    chosen.option_id,
    coalesce(options.label, '#' || chosen.option_id) as option_label,
    options.position as option_position
from chosen
left join options on chosen.field_code = options.field_code and chosen.option_id = options.option_id
