{#-
    Tables kept deal by deal: a build replaces the rows of the deals that have a new version in `int_deal_versions`,
    and all rows when anything else that the model reads is another one. See README.md.
-#}
{% materialization incremental_by_deal, adapter='postgres' %}
    {{ return(build_incrementally(
        sql,
        followed=followed_by_deal(),
        replaced=[is_changed_deal()],
        newest="select max(version) from " ~ ref('int_deal_versions')
    )) }}
{% endmaterialization %}

{#- In a model: `where deal_id = any(...)`, or nothing when everything is built. -#}
{% macro where_deal_changed(deal_id='deal_id', first='where') -%}
    {%- do ref('int_deal_versions') -%}
    {%- do ref('int_build_watermarks') -%}
    {%- if this and is_incremental() -%}
    {{ only_changes(first ~ ' ' ~ is_changed_deal(deal_id)) }}
    {%- endif -%}
{%- endmacro %}

{#- Whether a deal has a newer version than the one this model was built from. -#}
{% macro is_changed_deal(deal_id='deal_id') -%}
    {{- is_newer_deal(deal_id, watermark(), ref('int_deal_versions')) -}}
{%- endmacro %}

{#- Whether a deal has a version newer than that. -#}
{% macro is_newer_deal(deal_id, watermark, versions) -%}
    {%- set newer -%}
        select versions.deal_id
        from {{ versions }} as versions
        where versions.version > '{{ watermark }}'::timestamptz
    {%- endset -%}
    {{- is_one_of(deal_id, newer) -}}
{%- endmacro %}

{#-
    Whether a deal is one of those that a query finds. A few are named one by one: PostgreSQL then knows that they
    are few, and such a condition gets into a view, where the indexes are, before its rows are made; a subquery
    does not.
-#}
{% macro is_one_of(deal_id, query) -%}
    {%- set few = 5000 -%}
    {%- set found = remembered_query(query ~ ' limit ' ~ (few + 1)).columns[0].values() if execute else [] -%}
    {%- if found | length > few -%}
        {{ deal_id }} in ({{ query }})
    {%- else -%}
        {{ deal_id }} = any('{ {{- found | join(',') -}} }'::bigint[])
    {%- endif -%}
{%- endmacro %}

{#-
    What `int_deal_versions` follows row by row: raw tables, and what is itself kept deal by deal. Names of relations;
    those that do not exist do no harm.
-#}
{% macro followed_by_deal() -%}
    {%- set followed = [] -%}
    {%- for stream in ['deals', 'deal_changelog', 'deal_changelog_sync'] -%}
        {%- do followed.append(raw_relation(stream)) -%}
    {%- endfor -%}
    {%- for id in graph.nodes if id.startswith(('model.', 'snapshot.')) -%}
        {#- Each look at a node copies it. -#}
        {%- set node = graph.nodes[id] -%}
        {%- if node.name == 'snap_deals' or node.config.materialized == 'incremental_by_deal' -%}
            {%- do followed.append(node.relation_name) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(followed) }}
{%- endmacro %}
