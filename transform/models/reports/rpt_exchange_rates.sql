{#- The currencies of deals, their rates, and the number of deals that are left out because no rate is known. -#}
with days as (
    select
        currency,
        rated_on,
        count(*) as n_deals,
        count(value) as n_valued,
        sum(value) as value
    from {{ ref('int_deal_values') }}
    where not is_deleted and status in ('open', 'won', 'lost') and currency <> {{ base_currency() }}
    group by currency, rated_on
),

-- The rate of a day is looked up once, not for each of its deals.
days_with_rates as (
    select
        deals_with_days.*,
        {{ rate_in_force('rate') }} is null as is_missing,
        {{ rate_in_force('source') }} as source,
        {{ rate_in_force('is_backdated') }} as is_backdated
    from days as deals_with_days
),

counted as (
    select
        currency,
        sum(n_deals) as n_deals,
        coalesce(sum(n_deals) filter (where source = 'pipedrive'), 0) as n_at_pipedrive_rate,
        coalesce(sum(n_deals) filter (where is_backdated), 0) as n_at_later_rate,
        coalesce(sum(n_valued) filter (where is_missing), 0)::integer as deals_without_rate,
        sum(value) filter (where is_missing) as value_without_rate
    from days_with_rates
    group by currency
),

rates as (
    select distinct on (rates.currency) rates.*
    from {{ ref('int_fx_rates') }} as rates
    inner join {{ ref('int_warehouse_clock') }} as clock on rates.valid_from <= {{ local_date('clock.as_of') }}
    order by rates.currency asc, rates.valid_from desc
),

readings as (
    select count(*) as n from {{ ref('stg_pipedrive__deal_summary_daily') }}
)

select
    counted.currency,
    counted.n_deals::integer as n_deals,
    rates.rate,
    rates.source as rate_source,
    rates.rate_date,
    rates.rate_error,
    counted.n_at_pipedrive_rate::integer as n_at_pipedrive_rate,
    counted.n_at_later_rate::integer as n_at_later_rate,
    counted.deals_without_rate,
    coalesce(counted.value_without_rate, 0) as value_without_rate,
    case
        when counted.deals_without_rate = 0 then 'none'
        when readings.n = 0 then 'read deal_summary_daily, or add the rate to seeds/fx_rates.csv'
        else 'add the rate to seeds/fx_rates.csv'
    end as remedy
from counted
left join rates on counted.currency = rates.currency
cross join readings
