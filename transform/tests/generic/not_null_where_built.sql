{#-
    Never null, in a seed or snapshot. Only dbt seed, snapshot and build create those; after dbt run alone, dbt test
    finds no rows.
-#}
{% test not_null_where_built(model, column_name) %}
{#- dbt passes the table to a test as text. -#}
{%- set exists_query = "select to_regclass('" ~ dbt.escape_single_quotes(model) ~ "') is not null" %}
{%- if not execute or run_query(exists_query).rows[0][0] %}
{{ dbt.test_not_null(model, column_name) }}
{%- else %}
select null as {{ column_name }}
where false
{%- endif %}
{% endtest %}
