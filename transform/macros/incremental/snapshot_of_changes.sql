{#-
    dbt's query of a snapshot's new rows, in which PostgreSQL looks the stored rows up by index: dbt's own text makes a
    copy of all present rows at each build, because it uses them twice.
-#}
{% macro postgres__snapshot_staging_table(strategy, source_sql, target_relation) -%}
    {{- default__snapshot_staging_table(strategy, source_sql, target_relation)
        | replace('snapshotted_data as (', 'snapshotted_data as not materialized (') -}}
{%- endmacro %}
