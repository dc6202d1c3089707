{#- New rows only, like fct_deal_field_change, of which these are few: rpt_slippage reads them at every build. -#}
-- depends_on: {{ ref('int_build_marks') }}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='change_id',
    post_hook="{{ mark_looked_at() }}",
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
        and _loaded_at > {{ looked_at_until() }}
        {%- endif %}
)

select * from changes
where days <> 0
