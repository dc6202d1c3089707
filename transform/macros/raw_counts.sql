{#- The counts of a raw table for ops_row_counts: by index where there is one, not by a full scan. -#}

{% macro _count_of(relation, column, columns) -%}
    {%- if column in columns -%}
    (select count(*) from {{ relation }} where {{ column }} is not null)
    {%- else -%}
    0::bigint
    {%- endif -%}
{%- endmacro %}

{#- Of the last loaded row. -#}
{% macro _newest_of(relation, column, columns) -%}
    {%- if column in columns and '_sdc_batched_at' in columns -%}
    (
        select {{ column }} from {{ relation }}
        where _sdc_batched_at is not null
        order by _sdc_batched_at desc
        limit 1
    )
    {%- else -%}
    null::timestamptz
    {%- endif -%}
{%- endmacro %}
