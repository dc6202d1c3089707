{#-
    The rates implied by Pipedrive's totals: the converted total of a currency divided by its total, for each day
    with a reading. Pipedrive converts into the account's currency, but does not name it. Another base currency is
    computed from its own total, or with the seed's rate of the currency that is converted 1:1. The converted total
    is rounded to a hundredth, which limits the precision of a rate; a rate whose error may exceed
    reconciliation_tolerance is not used.
-#}
with totals as (
    select
        summary.as_of,
        {{ local_date('summary.as_of') }} as rate_date,
        entry.currency,
        {{ try_numeric("(entry.content ->> 'value')") }} as value,
        {{ try_numeric("(entry.content ->> 'value_converted')") }} as value_converted
    from {{ ref('stg_pipedrive__deal_summary_daily') }} as summary
    cross join lateral jsonb_each(summary.values_total) as entry (currency, content)
),

-- A total of 0 implies no rate, nor does a currency without a rate in Pipedrive: it is converted to 0.
to_account as (
    select
        as_of,
        rate_date,
        currency,
        abs(value) as total,
        value_converted / value as rate,
        case when value_converted = value then 0 else 0.005 / abs(value_converted) end as relative_error
    from totals
    where value_converted / nullif(value, 0) > 0
),

account_to_base as (
    select
        as_of,
        total,
        1 / rate as rate,
        relative_error,
        1 as preference
    from to_account
    where currency = {{ base_currency() }}
    union all
    select
        to_account.as_of,
        to_account.total,
        seeded.rate,
        0 as relative_error,
        2 as preference
    from to_account
    inner join {{ ref('int_fx_rates_seeded') }} as seeded
        on
            to_account.currency = seeded.currency
            and to_account.rate_date >= seeded.valid_from
            and to_account.rate_date < seeded.valid_to
    where to_account.rate = 1
),

second_legs as (
    select distinct on (as_of) * from account_to_base
    order by as_of asc, preference asc, total desc
),

to_base as (
    select
        to_account.currency,
        to_account.rate_date,
        to_account.as_of,
        to_account.total,
        to_account.rate * second_legs.rate as rate,
        to_account.rate * second_legs.rate * (to_account.relative_error + second_legs.relative_error) as error
    from to_account
    inner join second_legs on to_account.as_of = second_legs.as_of
    where to_account.currency <> {{ base_currency() }}
),

-- Rounded to the certain digits, so that totals of different days give the same rate.
certain as (
    select
        *,
        case when error > 0 then greatest(least(floor(-log(2 * error)), 12), 0)::integer else 12 end as digits
    from to_base
),

rounded as (
    select
        currency,
        rate_date,
        as_of,
        total,
        round(rate, digits) as rate,
        error + power(10::numeric, -digits) / 2 as rate_error
    from certain
)

-- Of several readings of a day, the largest total gives the most exact rate.
select distinct on (currency, rate_date)
    currency,
    rate_date,
    rate,
    rate_error,
    as_of
from rounded
where rate > 0 and rate_error <= rate * {{ var('reconciliation_tolerance') }}
order by currency asc, rate_date asc, total desc, as_of asc
