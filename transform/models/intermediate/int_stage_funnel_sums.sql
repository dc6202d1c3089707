{#- Written with fct_deal_stage_reached, see macros/incremental/sums_by_deal.sql. -#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    full_refresh=false,
    indexes=[{'columns': ['month', 'pipeline_id', 'stage_id', 'owner_id'], 'unique': true}]
) }}
select
    null::date as month,
    null::bigint as pipeline_id,
    null::bigint as stage_id,
    null::bigint as owner_id,
    null::bigint as n_reached,
    null::bigint as n_came_in,
    null::bigint as n_reached_strict,
    null::bigint as n_won_past
where false
