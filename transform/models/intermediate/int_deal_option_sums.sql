{#- Written with int_deal_options, see macros/incremental/sums_by_deal.sql. -#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    full_refresh=false,
    indexes=[{'columns': ['field_code', 'option_id', 'pipeline_id', 'owner_id', 'status'], 'unique': true}]
) }}
select
    null::text as field_code,
    null::text as option_id,
    null::bigint as pipeline_id,
    null::bigint as owner_id,
    null::text as status,
    null::bigint as n_deals,
    null::numeric as value_base,
    null::bigint as n_without_rate
where false
