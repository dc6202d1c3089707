{#- New rows only, like fct_deal_field_change, of which these are few: rpt_slippage reads them at every build. -#}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='change_id',
    indexes=[{'columns': ['change_id'], 'unique': true}, {'columns': ['_loaded_at']}]
) }}
with changes as (
    select
        change_id,
        deal_id,
        {{ month_of('changed_date_local') }} as month,
        {{ try_date('new_value') }} - {{ try_date('old_value') }} as days,
        _loaded_at
    from {{ ref('fct_deal_field_change') }}
    where
        field_key = 'expected_close_date'
        {% if is_incremental() -%}
        and _loaded_at > {{ newest_known('_loaded_at') }}
        {%- endif %}
)

select * from changes
where days <> 0
