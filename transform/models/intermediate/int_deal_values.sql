{#-
    Values of deals in the base currency, and their probability. A view, because rates and the probabilities of
    stages change independently of the deal. Independent of the current time, so that int_counted_deals can read it.
    Without `with`: PostgreSQL computes a view that has a `with` for all deals, also if a query needs a few of them.
-#}
{{ config(materialized='published_view') }}
-- noqa: disable=AM04
select
    deal_values.*,
    round(deal_values.value_base * deal_values.effective_prob / 100, 2) as weighted_value_base
from (
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
    from (
        select
            deals_with_days.*,
            -- Scalar subqueries: evaluated only if the currency differs from the base currency and the column is
            -- selected.
            case
                when deals_with_days.currency = {{ base_currency() }} then 1 else {{ rate_in_force('rate') }}
            end as fx_rate,
            case
                when deals_with_days.currency <> {{ base_currency() }} then {{ rate_in_force('rate_date') }}
            end as fx_date,
            case
                when deals_with_days.currency <> {{ base_currency() }} then {{ rate_in_force('source') }}
            end as fx_source,
            coalesce(
                case
                    when deals_with_days.currency <> {{ base_currency() }} then {{ rate_in_force('is_backdated') }}
                end,
                false
            ) as fx_is_backdated
        from (
            select
                deals.*,
                -- the day of the exchange rate; infinity for the newest rate
                case '{{ fx_policy() }}'
                    when 'close' then coalesce(deals.close_date_local, 'infinity')
                    when 'add' then coalesce(deals.add_date_local, 'infinity')
                    else 'infinity'
                end::date as rated_on
            from {{ ref('int_deal_current') }} as deals
        ) as deals_with_days
    ) as deals_with_rates
    left join {{ ref('dim_stage') }} as stages on deals_with_rates.stage_id = stages.stage_id
) as deal_values
