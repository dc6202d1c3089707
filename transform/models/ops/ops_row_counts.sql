{#- Number of rows of each raw table, and of the mart that shows them. Counted at each build. -#}
{%- set marts = {
    'deals': 'fct_deal', 'deal_changelog': 'fct_deal_field_change', 'activities': 'fct_activity', 'leads': 'fct_lead',
} %}
{%- set tables = raw_tables_and_stamps() if execute else {} %}
{{ config(materialized='published_table') }}
with counted as (
    {% for stream, stamps in tables.items() -%}
    {%- set relation = raw_relation(stream) %}
    select
        '{{ stream }}' as stream,
        (select count(*) from {{ relation }}) as n_rows,
        {{ _count_of(relation, '_sdc_deleted_at', stamps) }} as n_vanished,
        {{ _newest_of(relation, '_sdc_extracted_at', stamps) }} as newest_extracted_at,
        {{ _newest_of(relation, '_sdc_batched_at', stamps) }} as newest_loaded_at
    union all
    {%- endfor %}
    select
        null::text as stream,
        0::bigint as n_rows,
        0::bigint as n_vanished,
        null::timestamptz as newest_extracted_at,
        null::timestamptz as newest_loaded_at
    where false
),

shown as (
    {% for stream, mart in marts.items() -%}
    select
        '{{ stream }}' as stream,
        '{{ mart }}' as mart,
        count(*) as n_rows_in_mart
    from {{ ref(mart) }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
)

select
    counted.stream,
    counted.n_rows,
    counted.n_vanished,
    counted.newest_extracted_at,
    counted.newest_loaded_at,
    shown.mart,
    shown.n_rows_in_mart,
    now() as counted_at
from counted
left join shown on counted.stream = shown.stream
