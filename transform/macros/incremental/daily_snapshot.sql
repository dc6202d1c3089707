{#- Days that have left the recent past, unless they end a month. -#}
{% macro drop_old_snapshot_days() -%}
    {% if is_incremental() -%}
        {%- for table in [this, model_relation('int_pipeline_days')] %}
    delete from {{ table }}
    where
        date_day < (
            select {{ local_date('as_of') }} - {{ var('daily_snapshot_days') }} from {{ ref('int_warehouse_clock') }}
        )
        and date_day <> (date_trunc('month', date_day::timestamp) + interval '1 month' - interval '1 day')::date;
        {%- endfor -%}
    {%- endif %}
{%- endmacro %}
