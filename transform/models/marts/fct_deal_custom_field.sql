{#- A view with the current names of fields and options. int_deal_custom_field_values stores the values. -#}
{{ config(materialized='published_view') }}
with field_values as (
    select * from {{ ref('int_deal_custom_field_values') }}
),

registry as (
    select * from {{ ref('int_custom_field_registry') }}
    where entity = 'deal'
),

options as (
    select * from {{ ref('int_field_options') }}
    where entity = 'deal'
)

select
    field_values.deal_id,
    field_values.field_code as field_key,
    registry.column_name,
    registry.field_type,
    case
        when registry.field_type = 'set' and jsonb_typeof(field_values.value) = 'array'
            then
                {{ option_labels(
                    'array(select jsonb_array_elements_text(field_values.value))',
                    'listed.field_code = field_values.field_code'
                ) }}
        when registry.field_type in ('enum', 'set')
            then coalesce(options.label, '#' || field_values.value_text)
        else field_values.value_text
    end as value_text,
    case
        when registry.field_type in ('double', 'int', 'monetary')
            then {{ try_numeric('field_values.value_text') }}
    end as value_number,
    case
        when registry.field_type in ('date', 'daterange') then {{ try_date('field_values.value_text') }}
    end as value_date,
    case
        when registry.field_type in ('daterange', 'timerange') then field_values.value ->> 'until'
    end as value_until,
    case when registry.field_type = 'monetary' then field_values.value ->> 'currency' end as currency,
    field_values.value
from field_values
inner join registry on field_values.field_code = registry.field_code
left join options
    on field_values.field_code = options.field_code and field_values.value_text = options.option_id
