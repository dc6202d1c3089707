{#-
    Values of deals in the base currency, and their probability. A view, because rates and the probabilities of
    stages change independently of the deal. Independent of the current time, so that int_counted_deals can read it.
-#}
{{ config(materialized='published_view') }}
-- noqa: disable=AM04
with deals as (
    select * from {{ ref('int_deal_current') }}
),

stages as (
    select
        stage_id,
        probability
    from {{ ref('dim_stage') }}
),

deals_with_days as (
    select
        *,
        -- the day of the exchange rate; infinity for the newest rate
        case '{{ fx_policy() }}'
            when 'close' then coalesce(close_date_local, 'infinity')
            when 'add' then coalesce(add_date_local, 'infinity')
            else 'infinity'
        end::date as rated_on
    from deals
),

deals_with_rates as (
    select
        deals_with_days.*,
        -- Scalar subqueries: evaluated only if the currency differs from the base currency and the column is selected.
        case
            when deals_with_days.currency = {{ base_currency() }} then 1 else {{ rate_in_force('rate') }}
        end as fx_rate,
        case
            when deals_with_days.currency <> {{ base_currency() }} then {{ rate_in_force('rate_date') }}
        end as fx_date,
        case when deals_with_days.currency <> {{ base_currency() }} then {{ rate_in_force('source') }} end as fx_source,
        coalesce(
            case when deals_with_days.currency <> {{ base_currency() }} then {{ rate_in_force('is_backdated') }} end,
            false
        ) as fx_is_backdated
    from deals_with_days
),

deal_values as (
    select
        deals_with_rates.*,
        round(deals_with_rates.value * deals_with_rates.fx_rate, 2) as value_base,
        deals_with_rates.value is not null and deals_with_rates.fx_rate is null as fx_missing,
        stages.probability as stage_prob,
        case deals_with_rates.status
            when 'won' then 100
            when 'lost' then 0
            else coalesce(deals_with_rates.probability, stages.probability, 100)
        end as effective_prob
    from deals_with_rates
    left join stages on deals_with_rates.stage_id = stages.stage_id
)

select
    *,
    round(value_base * effective_prob / 100, 2) as weighted_value_base
from deal_values
