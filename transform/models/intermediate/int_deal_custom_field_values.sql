{#- Every custom field value of a deal as a row; deal_wide has the same values as columns. -#}
-- depends_on: {{ ref('int_deal_custom_field_counts') }}
{{ config(
    materialized='incremental_by_deal',
    summed_into={'int_deal_custom_field_counts': {
        'by': {'field_code': 'field_code'},
        'sums': {'n_values': 'count(*)'},
    }},
    indexes=[{'columns': ['deal_id']}, {'columns': ['field_code', 'deal_id']}]
) }}
with deals as (
    select
        deal_id,
        custom_fields
    from {{ ref('stg_pipedrive__deals') }}
    where custom_fields is not null
    {{ where_deal_changed(first='and') }}
)

select
    deals.deal_id,
    entry.field_code,
    entry.value,
    case jsonb_typeof(entry.value)
        when 'object' then entry.value ->> 'value'
        when 'array' then null
        else entry.value #>> '{}'
    end as value_text
from deals
cross join lateral jsonb_each(deals.custom_fields) as entry (field_code, value)
where entry.field_code ~ '^[0-9a-f]{40}$' and jsonb_typeof(entry.value) <> 'null'
