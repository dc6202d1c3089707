{#-
    The deals that an incremental model keyed by deal must build again: those loaded, or whose changelog was
    read, since its last build. When a stage changed, all of them, for ranks and move types may have changed.
-#}
{% macro changed_deals() -%}
    select deals.deal_id
    from {{ ref('stg_pipedrive__deals') }} as deals
    where deals._loaded_at > {{ _last_build() }}
    union
    select syncs.deal_id
    from {{ ref('stg_pipedrive__deal_changelog_sync') }} as syncs
    where syncs._loaded_at > {{ _last_build() }}
    union
    select deals.deal_id
    from {{ ref('stg_pipedrive__deals') }} as deals
    where exists (select 1 from {{ ref('stg_pipedrive__stages') }} as stages where stages._loaded_at > {{ _last_build() }})
{%- endmacro %}

{% macro _last_build() -%}
    (select coalesce(max(_loaded_at), '-infinity') from {{ this }})
{%- endmacro %}
