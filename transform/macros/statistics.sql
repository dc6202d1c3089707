{#- Like finish_relation(), for tables that are not published. -#}
{% macro analyze_table() -%}
    {%- if execute -%}
        {%- set query -%}
            select {{ has_statistics(this) }} from pg_catalog.pg_class where oid = '{{ this }}'::regclass
        {%- endset -%}
        {%- if not run_query(query).rows[0][0] -%}
    analyze {{ this }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- The same for raw tables after a first load, if the current role owns them. -#}
{% macro analyze_new_raw_tables() -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {%- set query -%}
            select quote_ident(nspname) || '.' || quote_ident(relname)
            from pg_catalog.pg_class
            inner join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
            where nspname = '{{ raw_relation('deals').schema }}' and relkind = 'r' and reltuples < 0 and pg_has_role(relowner, 'usage')
        {%- endset -%}
        {%- for row in run_query(query).rows -%}
            {%- do run_query('analyze ' ~ row[0]) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{#- The index of a raw table by `load` or `sweep` (the stamps) or by `deal`. -#}
{% macro raw_index(table, kind) -%}
    {{ return(api.Relation.create(schema=table.schema, identifier=table.identifier ~ '_by_' ~ kind)) }}
{%- endmacro %}

{#-
    The loader looks rows up by their own id. The models look up rows of few deals, and new rows, without a full
    scan.
-#}
{% macro index_raw_tables() -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {%- set schema = raw_relation('deals').schema -%}
        {%- set wanted = [] -%}
        {%- for stream in ['deals', 'deal_changelog', 'deal_changelog_sync', 'deal_products', 'activities'] -%}
            {%- set table = raw_relation(stream) -%}
            {%- do wanted.append(('load', table, '_sdc_batched_at', '')) -%}
            {%- do wanted.append(('sweep', table, '_sdc_deleted_at', 'where _sdc_deleted_at is not null')) -%}
            {%- if stream in ['deal_changelog', 'deal_products'] -%}
                {%- do wanted.append(('deal', table, 'deal_id', '')) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set query -%}
            select relname || '.' || attname
            from pg_catalog.pg_class
            inner join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
            inner join pg_catalog.pg_attribute on attrelid = pg_class.oid and not attisdropped
            where nspname = '{{ schema }}' and relkind = 'r' and pg_has_role(relowner, 'usage')
            union all
            select indexname from pg_catalog.pg_indexes where schemaname = '{{ schema }}'
        {%- endset -%}
        {%- set there = run_query(query).columns[0].values() -%}
        {%- for kind, table, column, condition in wanted -%}
            {%- set index = raw_index(table, kind).identifier -%}
            {%- if table.identifier ~ '.' ~ column in there and index not in there -%}
                {#- Another build may create the index at the same time. -#}
                {%- do run_query(
                    'create index if not exists ' ~ adapter.quote(index) ~ ' on ' ~ table
                    ~ ' (' ~ column ~ ') ' ~ condition
                ) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
