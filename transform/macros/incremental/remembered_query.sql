{#-
    The result of a query that several clauses of a model need: asked once while the model is compiled, and once while it
    is built. For what does not change meanwhile.
-#}
{% macro remembered_query(query) -%}
    {%- set name = 'remembered ' ~ local_md5(query) -%}
    {%- set stored = load_result(name) -%}
    {%- set table = stored.table if stored else run_query(query) -%}
    {#- A result can be loaded once. -#}
    {%- do store_raw_result(name, agate_table=table) -%}
    {{ return(table) }}
{%- endmacro %}
