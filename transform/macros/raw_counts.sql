{#- What ops_row_counts asks of a raw table: by its indexes where it has them, not by reading all of it. -#}

{% macro _count_of(relation, column, columns) -%}
    {%- if column in columns -%}
    (select count(*) from {{ relation }} where {{ column }} is not null)
    {%- else -%}
    0::bigint
    {%- endif -%}
{%- endmacro %}

{#- Of the row that was loaded last. -#}
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
