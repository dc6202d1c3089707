{#-
    The result of a query that several clauses of a model need: executed once when the model is compiled, and once
    when it is built. Only for results that do not change meanwhile.
-#}
{% macro remembered_query(query) -%}
    {%- set name = 'remembered ' ~ local_md5(query) -%}
    {%- set stored = load_result(name) -%}
    {%- set table = stored.table if stored else run_query(query) -%}
    {#- dbt can load a result only once. -#}
    {%- do store_raw_result(name, agate_table=table) -%}
    {{ return(table) }}
{%- endmacro %}
