{#-
    A table whose readers never notice a build: the result is made in a temporary table, and the rows that differ are
    replaced in one transaction. Nothing is dropped, and a build that changes nothing writes nothing. See README.md.
-#}
{% materialization published_table, adapter='postgres' %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- set published = publish_rows(this, sql) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do publish_descriptions(published) -%}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [published]}) }}
{% endmaterialization %}

{#- Make a relation hold the rows of a query. -#}
{% macro publish_rows(relation, sql) -%}
    {%- set existing = relation_state(relation) -%}
    {%- if existing is none -%}
        {{ return(create_published_table(relation, sql)) }}
    {%- endif -%}
    {%- set built = build_aside(sql) -%}
    {%- set columns = fit_columns(relation, existing, relation_state(built).columns, built) -%}
    {%- if columns is none -%}
        {#- A view that a view of others stands on cannot become a table. -#}
        {{ return(publish_view(relation, sql)) }}
    {%- endif -%}
    {%- call statement('main', fetch_result=True) -%}
        {{ replace_differing_rows(relation, built, columns, existing.indexes) }}
    {%- endcall -%}
    {%- do report_rows() -%}
    {{ return(relation.incorporate(type='table')) }}
{%- endmacro %}

{% macro create_published_table(relation, sql) -%}
    {%- call statement('main') -%}
        {{ get_create_table_as_sql(False, relation, sql) }}
    {%- endcall -%}
    {%- do create_indexes(relation) -%}
    {{ return(relation.incorporate(type='table')) }}
{%- endmacro %}

{#- The result of a query as a temporary table. It goes with the connection, which dbt closes after each node. -#}
{% macro build_aside(sql) -%}
    {%- set built = make_temp_relation(this) -%}
    {%- call statement('build_aside') -%}
        {{ get_create_table_as_sql(True, built, sql) }}
    {%- endcall -%}
    {{ return(built) }}
{%- endmacro %}

{#- What replace_differing_rows() found, as dbt shows and records it. -#}
{% macro report_rows() -%}
    {%- set counts = load_result('main').table.rows[0].values() | map('int') | list -%}
    {%- do store_raw_result(
        'main',
        message='ROWS +' ~ counts[0] ~ ' ~' ~ counts[1] ~ ' -' ~ counts[2],
        code='ROWS',
        rows_affected=counts | sum
    ) -%}
{%- endmacro %}
