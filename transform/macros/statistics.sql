{#-
    A table that was just written has no statistics yet, and the next model joins it before PostgreSQL gets
    round to it: without these, a plan can be a thousand times slower than it need be.
-#}
{% macro analyze_table() -%}
    {{ 'analyze ' ~ this if config.get('materialized') != 'view' }}
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
