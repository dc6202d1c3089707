{#-
    What one unit of a currency is worth in the base currency, and from which day to which. The seed wins from its
    first rate of a currency on; before that, and where it has none, the rates of Pipedrive's own totals apply.
    Days before the first rate go by Pipedrive's first one, and say so.
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
