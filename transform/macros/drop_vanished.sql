{#- For tables of which only differences are written: rows whose record the warehouse has no longer. -#}
{% macro drop_vanished(source_model, key) -%}
    {% if is_incremental() -%}
    delete from {{ this }} as kept
    where not exists (select from {{ ref(source_model) }} as there where there.{{ key }} = kept.{{ key }})
    {%- endif %}
{%- endmacro %}
