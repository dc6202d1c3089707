{#-
    A table that was just written has no statistics yet, and the next model joins it before PostgreSQL gets
    round to it: without these, a plan can be a thousand times slower than it need be.
-#}
{% macro analyze_table() -%}
    {%- if 'view' not in config.get('materialized') and not _is_analyzed() -%}
    analyze {{ this }}
    {%- endif -%}
{%- endmacro %}

{#- Of a table that is kept, a few rows are written: it is looked at again when it grew by a tenth. -#}
{% macro _is_analyzed() -%}
    {%- set query -%}
        select
            pg_relation_size(oid) / current_setting('block_size')::int <= relpages * 1.1
            and exists (
                select from pg_catalog.pg_stats
                where schemaname = '{{ this.schema }}' and tablename = '{{ this.identifier }}'
            )
        from pg_catalog.pg_class
        where oid = '{{ this }}'::regclass
    {%- endset -%}
    {{- return(execute and run_query(query).rows[0][0]) -}}
{%- endmacro %}

{#- The same for raw tables that a first load has just filled, as far as they are ours to look at. -#}
{% macro analyze_new_raw_tables() -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {%- set query -%}
            select quote_ident(nspname) || '.' || quote_ident(relname)
            from pg_catalog.pg_class
            inner join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
            where nspname = 'pipedrive' and relkind = 'r' and reltuples < 0 and pg_has_role(relowner, 'usage')
        {%- endset -%}
        {%- for row in run_query(query).rows -%}
            {%- do run_query('analyze ' ~ row[0]) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{#-
    The loader looks rows up by their own id. The models want those of a few deals, and those that are new, without
    reading them all.
-#}
{% macro index_raw_tables() -%}
    {%- set wanted = [] -%}
    {%- for table in ['deals', 'deal_changelog', 'deal_changelog_sync', 'deal_products', 'activities'] -%}
        {%- do wanted.append((table ~ '_by_load', table, '_sdc_batched_at', '')) -%}
        {%- do wanted.append((table ~ '_by_sweep', table, '_sdc_deleted_at', 'where _sdc_deleted_at is not null')) -%}
        {%- if table in ['deal_changelog', 'deal_products'] -%}
            {%- do wanted.append((table ~ '_by_deal', table, 'deal_id', '')) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
        {%- set query -%}
            select relname || '.' || attname
            from pg_catalog.pg_class
            inner join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
            inner join pg_catalog.pg_attribute on attrelid = pg_class.oid and not attisdropped
            where nspname = 'pipedrive' and relkind = 'r' and pg_has_role(relowner, 'usage')
            union all
            select indexname from pg_catalog.pg_indexes where schemaname = 'pipedrive'
        {%- endset -%}
        {%- set there = run_query(query).columns[0].values() -%}
        {%- for index, table, column, condition in wanted -%}
            {%- if table ~ '.' ~ column in there and index not in there -%}
                {%- do run_query('create index ' ~ index ~ ' on pipedrive.' ~ table ~ ' (' ~ column ~ ') ' ~ condition) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
