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
    null::bigint as n_exited,
    null::bigint as n_won,
    null::bigint as n_lost,
    null::bigint as n_back,
    null::bigint as n_moved_pipeline,
    null::bigint as n_timed,
    null::numeric as stayed_s,
    null::double precision[] as days_of_visits
where false
