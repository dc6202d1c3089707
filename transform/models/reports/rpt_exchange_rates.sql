{#- The currencies of deals, their rates, and the number of deals that are left out because no rate is known. -#}
with deals as (
    select
        currency,
        value,
        fx_missing,
        fx_source,
        fx_is_backdated
    from {{ ref('fct_deal') }}
    where not is_deleted and status in ('open', 'won', 'lost') and currency <> {{ base_currency() }}
),

counted as (
    select
        currency,
        count(*) as n_deals,
        count(*) filter (where fx_source = 'pipedrive') as n_at_pipedrive_rate,
        count(*) filter (where fx_is_backdated) as n_at_later_rate,
        {{ deals_without_rate() }} as deals_without_rate,
        sum(value) filter (where fx_missing) as value_without_rate
    from deals
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
