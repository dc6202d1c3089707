{#- The field definitions of all entities in one table. -#}
{%- set entities = ['deal', 'person', 'organization', 'product', 'activity'] %}
{% for entity in entities -%}
select
    '{{ entity }}' as entity,
    field_code,
    field_name,
    field_type,
    description,
    is_custom_field,
    is_deleted,
    deleted_at,
    options,
    _extracted_at,
    _loaded_at
from {{ ref('stg_pipedrive__' ~ entity ~ '_fields') }}
{{ 'union all' if not loop.last }}
{% endfor -%}
