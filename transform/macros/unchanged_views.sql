{#-
    A view of staging that is as it would be made is left alone: nearly all are, and making one takes ten statements.
    How each was made is noted in int_build_marks when a run has ended. (Views of the other layers stand on tables
    that are made anew, and go with those.)
-#}
{% materialization view, adapter='postgres' %}
    {%- if 'staging' in model.fqn and not should_full_refresh() and _is_as_made() -%}
        {%- call noop_statement('main', 'LEFT ALONE', 'LEFT ALONE', 0) -%}
    {{ sql }}
        {%- endcall -%}
        {{ return({'relations': [this.incorporate(type='view')]}) }}
    {%- endif -%}
    {{ return(dbt.materialization_view_default()) }}
{% endmaterialization %}

{% macro _is_as_made() -%}
    {%- set marks = load_relation(_intermediate('int_build_marks')) -%}
    {%- if not marks -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set query -%}
        select 1 from {{ marks }}
        where model = '{{ view_mark(model, sql) }}' and to_regclass('{{ this }}') is not null
    {%- endset -%}
    {{ return(run_query(query).rows | length > 0) }}
{%- endmacro %}

{#- A view is known by its name, its text and what is said of it. -#}
{% macro view_mark(node, text) -%}
    {%- set described = [node.description] -%}
    {%- for name, column in node.columns.items() -%}
        {%- do described.append(name ~ column.description) -%}
    {%- endfor -%}
    {{- return(node.unique_id ~ ':' ~ local_md5(text ~ described | join('|'))) -}}
{%- endmacro %}

{#- Of the views of a run that went well. -#}
{% macro mark_views(results) -%}
    {%- set marks = load_relation(_intermediate('int_build_marks')) if flags.WHICH in ('run', 'build') -%}
    {%- set made = [] -%}
    {%- set names = [] -%}
    {%- for result in results if result.node.resource_type == 'model' and 'staging' in result.node.fqn and result.status | string == 'success' -%}
        {%- do made.append(view_mark(result.node, result.node.compiled_code)) -%}
        {%- do names.append(result.node.unique_id) -%}
    {%- endfor -%}
    {%- if marks and made %}
    delete from {{ marks }} where split_part(model, ':', 1) = any (array['{{ names | join("', '") }}']);
    insert into {{ marks }} (model) select unnest(array['{{ made | join("', '") }}']);
    {%- endif -%}
{%- endmacro %}
