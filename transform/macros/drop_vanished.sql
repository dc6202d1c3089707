{#-
    For tables of which only differences are written: rows whose record the warehouse has no longer. All records
    are in the table by then, so it has such rows only if it has more of them.
-#}
{% macro drop_vanished(source_model, key) -%}
    {% if is_incremental() -%}
    delete from {{ this }} as kept
    where
        (select count(*) from {{ this }}) > (select count(*) from {{ ref(source_model) }})
        and not exists (select from {{ ref(source_model) }} as there where there.{{ key }} = kept.{{ key }})
    {%- endif %}
{%- endmacro %}
