{#-
    Changes of the value of open deals, as metrics count the deals. Both amounts are converted at the rate of the same
    day, so that changes of exchange rates have no effect; a change of the currency itself is left out. The table of
    sums has what rpt_value_changes shows.
-#}
-- depends_on: {{ ref('int_value_change_sums') }}
{{ config(
    materialized='incremental_by_deal',
    summed_into={'int_value_change_sums': {
        'by': {
            'month': 'month', 'pipeline_id': 'coalesce(pipeline_id, -1)', 'owner_id': 'coalesce(owner_id, -1)'
        },
        'sums': {
            'n_changes': 'count(*)',
            'n_deals': 'count(*) filter (where is_first_of_month)',
            'n_up': 'count(*) filter (where difference > 0)',
            'up_value_base': 'coalesce(sum(difference_base) filter (where difference > 0), 0)',
            'n_down': 'count(*) filter (where difference < 0)',
            'down_value_base': 'coalesce(sum(difference_base) filter (where difference < 0), 0)',
            'n_without_rate': 'count(*) filter (where is_first_without_rate)',
        },
    }},
    indexes=[{'columns': ['deal_id']}]
) }}
with states as (
    select * from {{ ref('int_deal_attribute_states') }}
    {{ where_deal_changed() }}
),

changes as (
    select
        deal_id,
        valid_from,
        value - previous_value as difference,
        currency,
        {{ local_date('valid_from') }} as changed_on
    from states
    where
        is_open_then
        and value <> previous_value
        and currency = previous_currency
),

deals as (
    select
        deal_id,
        pipeline_id,
        owner_id
    from {{ ref('int_counted_deals') }}
    {{ where_deal_changed() }}
),

rates as (
    select
        currency,
        rate,
        valid_from,
        valid_to
    from {{ ref('int_fx_rates') }}
),

changes_of_deals as (
    select
        changes.deal_id,
        changes.valid_from as changed_at,
        {{ month_of('changes.changed_on') }} as month,
        deals.pipeline_id,
        deals.owner_id,
        changes.difference,
        round(changes.difference * rates.rate, 2) as difference_base
    from changes
    inner join deals on changes.deal_id = deals.deal_id
    left join rates
        on
            changes.currency = rates.currency
            and changes.changed_on >= rates.valid_from
            and changes.changed_on < rates.valid_to
)

select
    deal_id,
    changed_at,
    month,
    pipeline_id,
    owner_id,
    difference,
    difference_base,
    row_number() over (partition by deal_id, month order by changed_at) = 1 as is_first_of_month,
    difference_base is null
    and row_number() over (partition by deal_id, month, difference_base is null order by changed_at) = 1
        as is_first_without_rate
from changes_of_deals
