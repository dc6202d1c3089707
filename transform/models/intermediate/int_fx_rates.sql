{#-
    The value of one unit of a currency in the base currency, with the first and last day of each rate. The seed's
    rates apply from the first day that the seed has for a currency. Before that day, and for currencies that the
    seed does not have, the rates implied by Pipedrive's converted totals apply. Days before the first rate use
    Pipedrive's first rate and are marked as backdated.
-#}
{{ config(indexes=[{'columns': ['currency', 'valid_from']}]) }}
with seeded as (
    select
        *,
        min(valid_from) over (partition by currency) as first_day
    from {{ ref('int_fx_rates_seeded') }}
),

pipedrive as (
    select
        rates.*,
        lag(rates.rate) over in_time as previous_rate,
        row_number() over in_time as nr
    from {{ ref('int_fx_rates_pipedrive') }} as rates
    window in_time as (partition by rates.currency order by rates.rate_date)
),

rates as (
    select
        currency,
        rate,
        valid_from as rate_date,
        valid_from,
        'seed' as source,
        false as is_backdated,
        null::numeric as rate_error
    from seeded
    union all
    select
        currency,
        rate,
        rate_date,
        rate_date as valid_from,
        'pipedrive' as source,
        false as is_backdated,
        rate_error
    from pipedrive
    where
        rate is distinct from previous_rate
        and not exists (
            select from seeded
            where seeded.currency = pipedrive.currency and seeded.first_day <= pipedrive.rate_date
        )
    union all
    select
        currency,
        rate,
        rate_date,
        '-infinity'::date as valid_from,
        'pipedrive' as source,
        true as is_backdated,
        rate_error
    from pipedrive
    where nr = 1
)

select
    currency,
    rate,
    rate_date,
    valid_from,
    coalesce(lead(valid_from) over (partition by currency order by valid_from), 'infinity'::date) as valid_to,
    source,
    is_backdated,
    rate_error
from rates
union all
select
    {{ base_currency() }} as currency,
    1 as rate,
    null as rate_date,
    '-infinity'::date as valid_from,
    'infinity'::date as valid_to,
    null as source,
    false as is_backdated,
    null as rate_error
