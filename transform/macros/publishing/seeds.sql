{#-
    Replaces the rows of a seed without truncating its table, which others may read; a full refresh drops no
    dependent relation. It overrides dbt's macro of that name for the seeds of this project.
-#}
{% macro reset_csv_table(model, full_refresh, old_relation, agate_table) -%}
    {%- set existing = relation_state(old_relation).columns | map(attribute='name') | list -%}
    {%- set is_alike = existing == agate_table.column_names | list -%}
    {%- if full_refresh and not (is_alike and dependents_of(old_relation)) -%}
        {%- do run_query('drop table ' ~ old_relation) -%}
        {{ return(create_csv_table(model, agate_table)) }}
    {%- endif -%}
    {%- set emptied = 'delete from ' ~ old_relation -%}
    {%- do run_query(emptied) -%}
    {{ return(emptied) }}
{%- endmacro %}
