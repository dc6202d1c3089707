{#- Never null, in a seed or snapshot: only dbt seed, snapshot and build make those, so that after dbt run
    alone dbt test finds none. -#}
{% test not_null_where_built(model, column_name) %}
{#- A test is given its table as text. -#}
{%- set asked = "select to_regclass('" ~ dbt.escape_single_quotes(model) ~ "') is not null" %}
{%- if not execute or run_query(asked).rows[0][0] %}
{{ dbt.test_not_null(model, column_name) }}
{%- else %}
select null as {{ column_name }}
where false
{%- endif %}
{% endtest %}
