{#-
    The named columns of a raw table, each cast to the type staging relies on.

    A stream that was not selected has no table, and a property that was not selected has no column:
    both become typed nulls, so that every model above builds on a partial warehouse too.

    raw_columns('pipelines', {'id': 'bigint', 'name': 'text'})
      -> select "id"::bigint as "id", "name"::text as "name" from "db"."pipedrive"."pipelines"
-#}
{% macro raw_columns(stream, columns, source_name='pipedrive') -%}
    {%- set raw = source(source_name, stream) -%}
    {%- set table = namespace(found=not execute, columns=[]) -%}
    {%- if execute -%}
        {%- set relation = load_relation(raw) -%}
        {%- if relation -%}
            {%- set table.found = true -%}
            {%- set table.columns = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
        {%- endif -%}
    {%- endif -%}
    select
        {%- for name, type in columns.items() %}
        {% if not execute or name in table.columns -%}
            "{{ name }}"::{{ type }} as "{{ name }}"
        {%- else -%}
            null::{{ type }} as "{{ name }}"
        {%- endif -%}
        {{ ',' if not loop.last }}
        {%- endfor %}
    {% if table.found -%}
    from {{ raw }}
    {%- else -%}
    from (values (1)) as absent (stream)
    where false
    {%- endif -%}
{%- endmacro %}
