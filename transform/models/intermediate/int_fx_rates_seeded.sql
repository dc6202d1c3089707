{#-
    The seed's rates, converted to the base currency. `dbt run` alone loads no seeds: without the table there are no
    rates.
-#}
{{ config(materialized='published_view') }}
{%- set seeded = not execute or load_relation(ref('fx_rates')) %}
with rates as (
    {% if seeded -%}
    select
        rate_date,
        from_currency,
        to_currency,
        rate
    from {{ ref('fx_rates') }}
    where rate > 0
    {%- else -%}
    select
        null::date as rate_date,
        null::text as from_currency,
        null::text as to_currency,
        null::numeric as rate
    where false
    {%- endif %}
),

to_base as (
    select
        from_currency as currency,
        rate_date,
        rate,
        1 as preference
    from rates
    where to_currency = {{ base_currency() }}
    union all
    -- A pair in the opposite direction is inverted.
    select
        to_currency as currency,
        rate_date,
        1 / rate as rate,
        2 as preference
    from rates
    where from_currency = {{ base_currency() }}
),

chosen as (
    select distinct on (currency, rate_date)
        currency,
        rate_date,
        rate
    from to_base
    where currency <> {{ base_currency() }}
    order by currency asc, rate_date asc, preference asc
)

select
    currency,
    rate,
    rate_date as valid_from,
    -- Weekends and holidays use the rate of the last day that had one.
    coalesce(lead(rate_date) over (partition by currency order by rate_date), 'infinity'::date) as valid_to
from chosen
