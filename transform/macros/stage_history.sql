{#-
    The time up to which a deal's changelog is known. If the changelog cannot be read any more (no page was
    returned), the result of the earlier reading stays. If reading stopped between pages, the oldest changes are
    missing, because the newest come first.
-#}
{% macro changelog_watermark(syncs, last_change_at) -%}
    case
        when {{ syncs }}.is_complete then {{ syncs }}.synced_through
        when {{ syncs }}.n_pages > 0 then null
        else {{ last_change_at }}
    end
{%- endmacro %}
