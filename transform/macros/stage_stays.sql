{#-
    The stays in a stage that durations are made of: open, of deals that count, the finished ones and those that
    run. Stays whose start is an estimate, and deals whose changelog contradicts itself, are left out.
-#}
{% macro stage_stays() -%}
    select
        history.deal_id,
        history.stage_id,
        coalesce(deals.owner_id, -1) as owner_id,
        history.valid_to is not null as is_finished,
        {{ days_between('history.valid_from', 'coalesce(history.valid_to, clock.as_of)') }} as days
    from {{ ref('fct_deal_stage_history') }} as history
    inner join {{ ref('int_counted_deals') }} as deals on history.deal_id = deals.deal_id
    cross join {{ ref('int_warehouse_clock') }} as clock
    where
        history.status = 'open'
        and history.stage_id is not null
        and not history.is_inferred
        and history.history_quality <> 'broken_chain'
{%- endmacro %}
