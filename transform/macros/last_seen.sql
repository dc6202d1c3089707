{#-
    When the source last listed a record; of a deleted one, until when it may have. A row that did not change is not
    written again, so what counts is the day its list was last read: int_stream_last_load, joined as last_load. To the
    day, for a table in which this moved with each sync would be written with each sync.
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
