{#- Days of which a row changed are counted again; see macros/daily_snapshot.sql. -#}
-- depends_on: {{ ref('int_build_marks') }}
-- depends_on: {{ ref('int_touched_days') }}
{{ config(
    materialized='incremental',
    incremental_strategy='by_day',
    indexes=[{'columns': ['date_day']}],
    post_hook="{{ mark_days_built() }}"
) }}
select
    date_day,
    pipeline_id,
    stage_id,
    owner_id,
    count(*) as open_count,
    coalesce(sum(value_base), 0) as open_value_base,
    coalesce(sum(weighted_value_base), 0) as weighted_value_base,
    count(*) filter (where fx_missing) as n_without_rate
from {{ ref('fct_deal_daily_snapshot') }}
{{ where_day_touched('date_day') }}
group by date_day, pipeline_id, stage_id, owner_id
