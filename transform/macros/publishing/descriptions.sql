{#-
    Finishes a relation after a build: writes changed descriptions as comments; and analyzes a table that has no
    statistics or has grown by a tenth. The next model joins it before autovacuum analyzes it: without statistics a
    plan can be a thousand times slower.
-#}
{% macro finish_relation(relation) -%}
    {%- set described = [] -%}
    {%- if config.persist_column_docs() -%}
        {%- for name, column in model.columns.items() -%}
            {%- do described.append([name, column.description]) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set queries = [] -%}
    {%- if relation.type == 'table' -%}
        {%- do queries.append("select 'analyze " ~ relation ~ "' from pg_catalog.pg_class where oid = '" ~ relation
            ~ "'::regclass and not (" ~ has_statistics(relation) ~ ')') -%}
    {%- endif -%}
    {%- if config.persist_relation_docs() -%}
        {%- set query %}
        select format('comment on {{ relation.type }} %s is %L', '{{ relation }}', described.description)
        from (select nullif('{{ model.description | replace("'", "''") }}', '') as description) as described
        where described.description is distinct from obj_description(to_regclass('{{ relation }}'), 'pg_class')
        {%- endset -%}
        {%- do queries.append(query) -%}
    {%- endif -%}
    {%- if described -%}
        {%- set query %}
        select format('comment on column %s.%I is %L', '{{ relation }}', attname, described.description)
        from (
            values
            {%- for name, description in described %}
            ('{{ name }}', nullif('{{ description | replace("'", "''") }}', '')){{ ',' if not loop.last }}
            {%- endfor %}
        ) as described (name, description)
        inner join pg_catalog.pg_attribute
            on attrelid = to_regclass('{{ relation }}') and attname = described.name and not attisdropped
        where described.description is distinct from col_description(attrelid, attnum)
        {%- endset -%}
        {%- do queries.append(query) -%}
    {%- endif -%}
    {%- if queries -%}
        {%- set statements = run_query(queries | join('\nunion all\n')).columns[0].values() -%}
        {%- if statements -%}
            {%- do run_query(statements | join(';\n')) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- For a row of pg_class: whether the table's statistics are of a table of about its size. -#}
{% macro has_statistics(relation) -%}
    pg_relation_size(oid) / current_setting('block_size')::int <= relpages * 1.1
    and (
        (relpages = 0 and reltuples = 0)
        or exists (
            select from pg_catalog.pg_stats
            where schemaname = '{{ relation.schema }}' and tablename = '{{ relation.identifier }}'
        )
    )
{%- endmacro %}
