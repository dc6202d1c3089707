{#- Written with int_deal_custom_field_values, see macros/incremental/sums_by_deal.sql. -#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    full_refresh=false,
    indexes=[{'columns': ['field_code'], 'unique': true}]
) }}
select
    null::text as field_code,
    null::bigint as n_values
where false
