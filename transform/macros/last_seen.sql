{#-
    When the source last listed a record; of a deleted one, until when it may have. A row that did not change is not
    written again, so what counts is when its list was last read: int_stream_last_load, joined as last_load.
-#}
{% macro last_seen_at(records) -%}
    case
        when {{ records }}.is_deleted then {{ records }}.deleted_at
        else greatest({{ records }}._extracted_at, last_load.started_at)
    end
{%- endmacro %}
