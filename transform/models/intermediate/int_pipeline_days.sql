{#- Written with fct_deal_daily_snapshot, see macros/incremental/sums_by_deal.sql. -#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    full_refresh=false,
    indexes=[{'columns': ['date_day', 'pipeline_id', 'stage_id', 'owner_id'], 'unique': true}]
) }}
select
    null::date as date_day,
    null::bigint as pipeline_id,
    null::bigint as stage_id,
    null::bigint as owner_id,
    null::bigint as open_count,
    null::numeric as open_value_base,
    null::numeric as weighted_value_base,
    null::numeric as commit_value_base,
    null::bigint as n_without_rate
where false
