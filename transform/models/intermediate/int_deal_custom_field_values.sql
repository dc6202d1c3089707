{#- Every custom field value a deal has, one by one: what deal_wide holds in columns, for fields of any number. -#}
{{ config(materialized='view') }}
with deals as (
    select
        deal_id,
        custom_fields
    from {{ ref('stg_pipedrive__deals') }}
    where jsonb_typeof(custom_fields) = 'object'
),

registry as (
    select * from {{ ref('int_custom_field_registry') }}
    where entity = 'deal'
),

options as (
    select * from {{ ref('int_field_options') }}
    where entity = 'deal'
),

entries as (
    select
        deals.deal_id,
        registry.field_code,
        registry.field_type,
        registry.column_name,
        entry.value,
        case jsonb_typeof(entry.value)
            when 'object' then entry.value ->> 'value'
            when 'array' then null
            else entry.value #>> '{}'
        end as value_text
    from deals
    cross join lateral jsonb_each(deals.custom_fields) as entry (field_code, value)
    inner join registry on entry.field_code = registry.field_code
    where jsonb_typeof(entry.value) <> 'null'
)

select
    entries.deal_id,
    entries.field_code,
    entries.column_name,
    entries.field_type,
    entries.value,
    case
        when entries.field_type not in ('enum', 'set') then entries.value_text
        when jsonb_typeof(entries.value) = 'array'
            then (
                select string_agg(coalesce(listed.label, '#' || element.id), '; ' order by listed.position, element.id)
                from jsonb_array_elements_text(entries.value) as element (id)
                left join options as listed on listed.field_code = entries.field_code and element.id = listed.option_id
            )
        else coalesce(options.label, '#' || entries.value_text)
    end as value_text,
    case
        when entries.field_type in ('double', 'int', 'monetary') then {{ try_numeric('entries.value_text') }}
    end as value_number,
    case
        when entries.field_type in ('date', 'daterange') then {{ try_date('entries.value_text') }}
    end as value_date,
    entries.value ->> 'currency' as currency
from entries
left join options
    on
        entries.field_type = 'enum'
        and entries.field_code = options.field_code
        and entries.value_text = options.option_id
