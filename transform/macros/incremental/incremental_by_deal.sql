{#-
    Tables built incrementally by deal: a build replaces the rows of the deals that have a new version in
    `int_deal_versions`, and all rows when another input of the model has changed. See README.md.
-#}
{% materialization incremental_by_deal, adapter='postgres' %}
    {{ return(build_incrementally(
        sql,
        followed=followed_by_deal(),
        replaced=[is_changed_deal()],
        newest="select max(version) from " ~ ref('int_deal_versions')
    )) }}
{% endmaterialization %}

{#- In a model: `where deal_id = any(...)`, or nothing in a full build. -#}
{% macro where_deal_changed(deal_id='deal_id', first='where') -%}
    {%- do ref('int_deal_versions') -%}
    {%- do ref('int_build_watermarks') -%}
    {%- if this and is_incremental() -%}
    {{ only_changes(first ~ ' ' ~ is_changed_deal(deal_id)) }}
    {%- endif -%}
{%- endmacro %}

{#- Whether a deal has a newer version than this model's watermark. -#}
{% macro is_changed_deal(deal_id='deal_id') -%}
    {{- is_newer_deal(deal_id, watermark(), ref('int_deal_versions')) -}}
{%- endmacro %}

{#- Whether a deal has a version newer than the given one. -#}
{% macro is_newer_deal(deal_id, watermark, versions) -%}
    {%- set newer -%}
        select versions.deal_id
        from {{ versions }} as versions
        where versions.version > '{{ watermark }}'::timestamptz
    {%- endset -%}
    {{- is_one_of(deal_id, newer) -}}
{%- endmacro %}

{#-
    Whether a deal is in the result of a query. Few deals are listed as an array: PostgreSQL then knows that they
    are few, and can push the condition into a view, where the indexes are; a subquery it cannot push.
-#}
{% macro is_one_of(deal_id, query) -%}
    {%- set few = 5000 -%}
    {#- One row: dbt takes longer to read thousands of rows than PostgreSQL to find them. -#}
    {%- set listed -%}
        select count(*), coalesce(string_agg(found.id::text, ','), '')
        from ({{ query }} limit {{ few + 1 }}) as found (id)
    {%- endset -%}
    {%- set found = remembered_query(listed).rows[0] if execute else [0, ''] -%}
    {%- if found[0] > few -%}
        {{ deal_id }} in ({{ query }})
    {%- else -%}
        {{ deal_id }} = any('{ {{- found[1] -}} }'::bigint[])
    {%- endif -%}
{%- endmacro %}

{#-
    The inputs that `int_deal_versions` follows row by row: raw tables, and tables that are themselves built
    incrementally by deal. Names of relations; missing ones have no effect.
-#}
{% macro followed_by_deal() -%}
    {%- set followed = [] -%}
    {%- for stream in ['deals', 'deal_changelog', 'deal_changelog_sync'] -%}
        {%- do followed.append(raw_relation(stream)) -%}
    {%- endfor -%}
    {%- for id in graph.nodes if id.startswith(('model.', 'snapshot.')) -%}
        {#- dbt copies a node at each access. -#}
        {%- set node = graph.nodes[id] -%}
        {%- if node.name == 'snap_deals' or node.config.materialized == 'incremental_by_deal' -%}
            {%- do followed.append(node.relation_name) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(followed) }}
{%- endmacro %}
