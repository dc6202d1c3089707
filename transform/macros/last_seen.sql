{#-
    When the source last listed a record; for a deleted one, until when it may have. An unchanged row is not written
    again, so the value is the day on which its list was last read: int_stream_last_load, joined as last_load. In
    days, because a time that changes with each sync would rewrite the table in each sync.
-#}
{% macro last_seen_at(records) -%}
    case
        when {{ records }}.is_deleted then {{ records }}.deleted_at
        else greatest(
            {{ records }}._extracted_at,
            date_trunc('day', last_load.started_at, {{ reporting_timezone() }})
        )
    end
{%- endmacro %}
