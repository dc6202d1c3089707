{#- Written with fct_deal_daily_snapshot, see macros/incremental/daily_snapshot.sql. -#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='append',
    indexes=[{'columns': ['currency', 'valid_from'], 'unique': true}]
) }}
select
    null::text as currency,
    null::numeric as rate,
    null::date as valid_from,
    null::date as valid_to
where false
