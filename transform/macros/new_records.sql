{#-
    Which records came since a kept table was last built: by the time the loader stamped on them, or the sweep, so that
    they are looked up by index instead of comparing all rows. A row is stamped before it is committed, perhaps by
    another machine's clock, and a backfill may load beside a sync: what was stamped some minutes before the last
    build is looked at again. Who asks must therefore bear to be told of a record twice.
-#}

{#- A constant: of a subquery PostgreSQL expects a third of all rows, and reads them all. Everything, if never built. -#}
{% macro looked_at_until() -%}
    '{{ built_through() }}'::timestamptz - interval '10 minutes'
{%- endmacro %}

{#- `where` the record was loaded, or swept, since, and is not here already; or nothing when everything is built. -#}
{% macro where_new_record(there, key) -%}
    {%- if this and is_incremental() and built_through() != '-infinity' -%}
    where
        ({{ there }}._loaded_at > {{ looked_at_until() }} or {{ there }}._swept_at > {{ looked_at_until() }})
        and not exists (
            select from {{ this }} as known
            where
                known.{{ key }} = {{ there }}.{{ key }}
                and known._loaded_at is not distinct from {{ there }}._loaded_at
                and known.deleted_at is not distinct from {{ there }}.deleted_at
        )
    {%- endif -%}
{%- endmacro %}

{#- After a build of such a table, in its transaction: whatever was committed before it began has been seen. -#}
{% macro mark_looked_at() -%}
    {{ set_build_mark('select now()') }}
{%- endmacro %}
