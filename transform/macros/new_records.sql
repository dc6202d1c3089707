{#-
    Which records came since a kept table was built. The loader stamps what it writes with its clock, and a sweep
    what it no longer finds with the database's, so both are looked up by index instead of comparing all rows.
-#}

{#- `where` the record was loaded, or swept, since; or nothing when everything is built. -#}
{% macro where_new_record() -%}
    {%- if this and is_incremental() and built_through() != '-infinity' -%}
    where _loaded_at > {{ newest_known('_loaded_at') }} or _swept_at > '{{ built_through() }}'::timestamptz
    {%- endif -%}
{%- endmacro %}

{#-
    The newest time a kept table holds: a constant, for of a subquery PostgreSQL expects a third of all rows, and
    reads them all. A time that is yet to come was told by a clock since set back: then all are looked at.
-#}
{% macro newest_known(column) -%}
    {%- set query -%}
        select max({{ column }})::text from {{ this }}
        having max({{ column }}) < now() + interval '1 minute'
    {%- endset -%}
    {%- set found = run_query(query).rows if execute -%}
    '{{ found[0][0] if found else '-infinity' }}'::timestamptz
{%- endmacro %}
