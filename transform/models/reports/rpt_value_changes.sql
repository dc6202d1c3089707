{#-
    Changes of the value of open deals. Both amounts are converted at the rate of the same day, so that changes of
    exchange rates have no effect; a change of the currency itself is left out.
-#}
with changes as (
    select
        deal_id,
        valid_from,
        value - previous_value as difference,
        currency,
        {{ local_date('valid_from') }} as changed_on
    from {{ ref('int_deal_attribute_states') }}
    where is_open_then and value <> previous_value and currency = previous_currency
),

while_open as (
    select
        changes.deal_id,
        changes.difference,
        {{ month_of('changes.changed_on') }} as month,
        coalesce(deals.pipeline_id, -1) as pipeline_id,
        coalesce(deals.owner_id, -1) as owner_id,
        round(changes.difference * fx_rates.rate, 2) as difference_base
    from changes
    inner join {{ ref('int_counted_deals') }} as deals on changes.deal_id = deals.deal_id
    left join {{ ref('int_fx_rates') }} as fx_rates
        on
            changes.currency = fx_rates.currency
            and changes.changed_on >= fx_rates.valid_from
            and changes.changed_on < fx_rates.valid_to
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
    (count(distinct deal_id) filter (where difference_base is null))::integer as deals_without_rate
from while_open
group by month, pipeline_id, owner_id
