{#- Descriptions as comments in the database, those that are other ones than there. -#}
{% macro publish_descriptions(relation) -%}
    {%- set told = [] -%}
    {%- if config.persist_column_docs() -%}
        {%- for name, column in model.columns.items() -%}
            {%- do told.append([name, column.description]) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set query -%}
        {%- if config.persist_relation_docs() %}
        select format('comment on {{ relation.type }} %s is %L', '{{ relation }}', told.description)
        from (select nullif('{{ model.description | replace("'", "''") }}', '') as description) as told
        where told.description is distinct from obj_description(to_regclass('{{ relation }}'), 'pg_class')
        {%- endif %}
        {%- if config.persist_relation_docs() and told %}
        union all
        {%- endif %}
        {%- if told %}
        select format('comment on column %s.%I is %L', '{{ relation }}', attname, told.description)
        from (
            values
            {%- for name, description in told %}
            ('{{ name }}', nullif('{{ description | replace("'", "''") }}', '')){{ ',' if not loop.last }}
            {%- endfor %}
        ) as told (name, description)
        inner join pg_catalog.pg_attribute
            on attrelid = to_regclass('{{ relation }}') and attname = told.name and not attisdropped
        where told.description is distinct from col_description(attrelid, attnum)
        {%- endif %}
    {%- endset -%}
    {%- if query | trim -%}
        {%- set comments = run_query(query).columns[0].values() -%}
        {%- if comments -%}
            {%- do run_query(comments | join(';\n')) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
