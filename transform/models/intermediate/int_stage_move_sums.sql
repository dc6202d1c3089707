{#- Written with int_deal_stage_intervals, see macros/incremental/sums_by_deal.sql. -#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    full_refresh=false,
    indexes=[{'columns': ['month', 'pipeline_id', 'owner_id'], 'unique': true}]
) }}
select
    null::date as month,
    null::bigint as pipeline_id,
    null::bigint as owner_id,
    null::bigint as n_moves,
    null::bigint as n_forward,
    null::bigint as n_skips,
    null::bigint as n_regressions,
    null::bigint as n_pipeline_moves,
    null::bigint[] as deals_of_regressions
where false
