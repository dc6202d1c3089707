{#- Written with int_deal_stage_intervals, see macros/incremental/sums_by_deal.sql. -#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    full_refresh=false,
    indexes=[{'columns': ['month', 'stage_id', 'owner_id'], 'unique': true}]
) }}
select
    null::date as month,
    null::bigint as stage_id,
    null::bigint as owner_id,
    null::bigint as n_stays,
    null::numeric as stayed_s,
    null::double precision[] as days_of_stays
where false
