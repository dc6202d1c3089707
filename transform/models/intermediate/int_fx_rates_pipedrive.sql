{#-
    The rates that Pipedrive's own totals imply: the converted total of a currency divided by its total, of each
    day that has a reading. Pipedrive converts into the account's currency, and names it nowhere. Another base
    currency is reached through its own total, or through the seed's rate of the currency that is converted 1:1.
    The converted total is rounded to a hundredth: that is how far off a rate may be, and a rate that may be
    off by more than reconciliation_tolerance is not used.
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

-- Nothing follows from a total of 0, nor from a currency that Pipedrive has no rate for: it is converted to 0.
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

-- To the digits that are certain: the same rate then comes out the same from the totals of another day.
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

-- Of several readings of a day, the largest total is the most exact.
select distinct on (currency, rate_date)
    currency,
    rate_date,
    rate,
    rate_error,
    as_of
from rounded
where rate > 0 and rate_error <= rate * {{ var('reconciliation_tolerance') }}
order by currency asc, rate_date asc, total desc, as_of asc
