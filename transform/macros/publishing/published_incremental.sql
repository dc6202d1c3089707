{#-
    Like dbt's incremental, but readers never notice a build: a full refresh replaces the rows that differ, and no
    relation is dropped. `incremental_strategy`, `unique_key`, `on_schema_change` and `full_refresh` have dbt's
    meaning. See README.md.
-#}
{% materialization published_incremental, adapter='postgres' %}
    {%- set strategy = adapter.get_incremental_strategy_macro(context, config.get('incremental_strategy') or 'default') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- if not is_incremental() -%}
        {%- set published = publish_rows(this, sql) -%}
    {%- else -%}
        {%- set published = this.incorporate(type='table') -%}
        {%- set aside = build_aside(sql, beside=this) -%}
        {%- set built, existing, wanted = aside.relation, aside.existing, aside.columns -%}
        {%- set found = compare_columns(existing.columns, wanted) -%}
        {%- if config.get('on_schema_change') == 'fail' and (found.added or found.gone or found.changed) -%}
            {%- do exceptions.raise_compiler_error(
                'The columns of ' ~ this ~ ' differ from those of the model; build it with --full-refresh.'
            ) -%}
        {%- endif -%}
        {%- do fit_columns(this, existing, wanted, built, is_partial=true) -%}
        {%- set dest_columns = [] -%}
        {%- for column in adapter.get_columns_in_relation(built) -%}
            {%- do dest_columns.append(column) -%}
        {%- endfor -%}
        {%- call statement('main') -%}
            {{ strategy({
                'target_relation': published,
                'temp_relation': built,
                'unique_key': config.get('unique_key'),
                'dest_columns': dest_columns,
                'incremental_predicates': config.get('incremental_predicates'),
            }) }}
        {%- endcall -%}
    {%- endif -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do finish_relation(published) -%}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [published]}) }}
{% endmaterialization %}

{#- dbt's macro of this name requires dbt's own materialization. -#}
{% macro is_incremental() -%}
    {%- if not execute -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set relation = load_cached_relation(this) -%}
    {{ return(
        relation is not none
        and relation.type == 'table'
        and 'incremental' in model.config.materialized
        and not should_full_refresh()
    ) }}
{%- endmacro %}
