{#- A small subset of fct_deal_field_change, stored because rpt_slippage reads it in every build. -#}
{{ config(
    materialized='incremental_by_deal',
    indexes=[{'columns': ['change_id'], 'unique': true}, {'columns': ['deal_id']}]
) }}
with changes as (
    select
        change_id,
        deal_id,
        {{ month_of('changed_date_local') }} as month,
        {{ try_date('new_value') }} - {{ try_date('old_value') }} as days,
        _loaded_at
    from {{ ref('fct_deal_field_change') }}
    where field_key = 'expected_close_date' {{ where_deal_changed(first='and') }}
)

select * from changes
where days <> 0
