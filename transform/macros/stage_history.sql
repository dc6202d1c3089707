{#-
    Up to when the changelog of a deal is known. A log that could not be read any more (no page came) leaves
    what an earlier reading knew. One that broke off between pages lacks its beginning, because the newest
    changes come first.
-#}
{% macro changelog_watermark(syncs, last_change_at) -%}
    case
        when {{ syncs }}.is_complete then {{ syncs }}.synced_through
        when {{ syncs }}.n_pages > 0 then null
        else {{ last_change_at }}
    end
{%- endmacro %}
