{#-
    By how much deals grew and shrank while they were open. Both amounts are converted at the same rate, the
    day's, so that what currencies do is left out; so is a change of the currency itself.
-#}
with states as (
    select
        deal_id,
        valid_from,
        value,
        currency,
        lag(value) over (partition by deal_id order by valid_from) as previous_value,
        lag(currency) over (partition by deal_id order by valid_from) as previous_currency
    from {{ ref('int_deal_attribute_states') }}
),

changes as (
    select
        states.deal_id,
        states.valid_from,
        states.value - states.previous_value as difference,
        states.currency
    from states
    where states.value <> states.previous_value and states.currency = states.previous_currency
),

while_open as (
    select
        changes.deal_id,
        changes.difference,
        {{ month_of(local_date('changes.valid_from')) }} as month,
        coalesce(deals.pipeline_id, -1) as pipeline_id,
        coalesce(deals.owner_id, -1) as owner_id,
        round(changes.difference * fx_rates.rate, 2) as difference_base
    from changes
    inner join {{ ref('int_counted_deals') }} as deals on changes.deal_id = deals.deal_id
    inner join {{ ref('fct_deal_stage_history') }} as history
        on
            changes.deal_id = history.deal_id
            and history.status = 'open'
            and changes.valid_from >= history.valid_from
            and changes.valid_from < coalesce(history.valid_to, 'infinity')
    left join {{ ref('int_fx_rates') }} as fx_rates
        on
            changes.currency = fx_rates.currency
            and {{ local_date('changes.valid_from') }} >= fx_rates.valid_from
            and {{ local_date('changes.valid_from') }} < fx_rates.valid_to
)

select
    month,
    pipeline_id,
    owner_id,
    count(distinct deal_id)::integer as n_deals,
    (count(*) filter (where difference > 0))::integer as n_up,
    coalesce(sum(difference_base) filter (where difference > 0), 0) as up_value_base,
    (count(*) filter (where difference < 0))::integer as n_down,
    coalesce(sum(difference_base) filter (where difference < 0), 0) as down_value_base,
    coalesce(sum(difference_base), 0) as net_value_base,
    (count(*) filter (where difference_base is null))::integer as n_without_rate
from while_open
group by month, pipeline_id, owner_id
