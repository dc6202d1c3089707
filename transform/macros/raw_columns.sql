{#-
    The named columns of a raw table, each cast to the type that staging needs. An invalid date, time or number
    becomes null, see safe_casts.sql. A stream that was not selected has no table, and a property that was not
    selected has no column: both become typed nulls, so that every model also builds on a partial warehouse.
    raw_columns('pipelines', {'id': 'bigint', 'name': 'text'}) -> select "id"::bigint as "id", "name"::text as
    "name" from "db"."pipedrive"."pipelines"
-#}
{% macro raw_columns(stream, columns, source_name='pipedrive') -%}
    {%- set raw = source(source_name, stream) -%}
    {%- set stored = raw_column_types(raw) if execute else columns -%}
    select
        {%- for name, type in columns.items() %}
        {% if name in (stored or {}) -%}
            {{ _raw_column(name, type, stored[name]) }} as "{{ name }}"
        {%- else -%}
            null::{{ type }} as "{{ name }}"
        {%- endif -%}
        {{ ',' if not loop.last }}
        {%- endfor %}
    {% if stored is not none -%}
    from {{ raw }}
    {%- else -%}
    from (values (1)) as absent (stream)
    where false
    {%- endif -%}
{%- endmacro %}

{#- The columns of a raw table, and their types; empty if the table does not exist. -#}
{% macro raw_column_types(raw) -%}
    {%- set relation = load_relation(raw) -%}
    {%- set types = {} -%}
    {%- for column in (adapter.get_columns_in_relation(relation) if relation else []) -%}
        {%- do types.update({column.name: column.dtype}) -%}
    {%- endfor -%}
    {{ return(types if relation else none) }}
{%- endmacro %}

{#- Loading columns belong to the loader and are looked up by index: they are not cast. -#}
{% macro _raw_column(name, type, stored_type) -%}
    {%- set column = '"' ~ name ~ '"' -%}
    {%- if type == 'numeric' -%}
        {{ possible_number(column ~ '::numeric') }}
    {%- elif type not in ('date', 'timestamptz') or name.startswith('_sdc_') -%}
        {{ column }}::{{ type }}
    {%- elif type == 'date' and stored_type in ('text', 'character varying') -%}
        {{ possible_date(try_date('left(' ~ column ~ ', 10)')) }}
    {%- elif type == 'date' -%}
        {{ possible_date(column ~ '::date') }}
    {%- elif stored_type in ('text', 'character varying') -%}
        {{ possible_time(try_timestamptz(column)) }}
    {%- else -%}
        {{ possible_time(column ~ '::timestamptz') }}
    {%- endif -%}
{%- endmacro %}
