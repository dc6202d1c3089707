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

{#- The raw tables that exist, by stream; of each, the columns of the loader that it has. -#}
{% macro raw_tables_and_stamps() -%}
    {%- set streams = [] -%}
    {%- for id in graph.sources if id.startswith('source.pipeboard.pipedrive.') -%}
        {%- do streams.append("('" ~ id.split('.') | last ~ "', '" ~ raw_relation(id.split('.') | last) ~ "')") -%}
    {%- endfor -%}
    {%- set query -%}
        select streams.name, string_agg(attname, ' ')
        from (values {{ streams | join(', ') }}) as streams (name, relation)
        inner join pg_catalog.pg_class on pg_class.oid = to_regclass(streams.relation)
        left join pg_catalog.pg_attribute
            on attrelid = pg_class.oid
            and attname in ('_sdc_batched_at', '_sdc_deleted_at', '_sdc_extracted_at')
            and not attisdropped
        group by streams.name
        order by streams.name
    {%- endset -%}
    {%- set tables = {} -%}
    {%- for stream, stamps in run_query(query).rows -%}
        {%- do tables.update({stream: (stamps or '').split()}) -%}
    {%- endfor -%}
    {{ return(tables) }}
{%- endmacro %}
