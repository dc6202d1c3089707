{#- Every day from the oldest deal or activity to two years from now, in the reporting time zone. -#}
{%- set first_month = var('fiscal_year_first_month') | int %}
{%- set seeded = not execute or load_relation(ref('holidays')) %}
with bounds as (
    select
        least(
            (select {{ local_date('min(add_time)') }} from {{ ref('int_deal_current') }}),
            (select {{ local_date('min(add_time)') }} from {{ ref('int_activities') }}),
            {{ local_date('as_of') }} - 400
        ) as first_day,
        {{ local_date('as_of') }} as today
    from {{ ref('int_warehouse_clock') }}
),

days as (
    select
        day.at::date as date_day,
        bounds.today
    from bounds
    cross join
        lateral generate_series(
            -- Backdated records must not create a calendar of centuries. Whole years, so that weeks are complete.
            date_trunc('year', greatest(bounds.first_day, '1990-01-01'::date))::timestamp,
            (date_trunc('year', bounds.today + interval '3 years') - interval '1 day')::timestamp,
            interval '1 day'
        ) as day (at)
),

holidays as (
    {% if seeded -%}
    select
        holiday_date,
        string_agg(name, ', ' order by name) as name
    from {{ ref('holidays') }}
    group by holiday_date
    {%- else -%}
    select
        null::date as holiday_date,
        null::text as name
    where false
    {%- endif %}
),

described as (
    select
        days.date_day,
        days.today,
        (days.date_day - interval '{{ first_month - 1 }} months')::date as fiscal_day,
        holidays.name as holiday_name,
        extract(isodow from days.date_day) >= 6 as is_weekend,
        extract(isodow from days.date_day) < 6 and holidays.holiday_date is null as is_business_day
    from days
    left join holidays on days.date_day = holidays.holiday_date
)

select
    date_day,
    extract(year from date_day)::integer as year,
    extract(quarter from date_day)::integer as quarter,
    extract(month from date_day)::integer as month,
    extract(day from date_day)::integer as day_of_month,
    extract(isodow from date_day)::integer as iso_day_of_week,
    extract(isoyear from date_day)::integer as iso_year,
    extract(week from date_day)::integer as iso_week,
    date_trunc('year', date_day)::date as year_start,
    date_trunc('quarter', date_day)::date as quarter_start,
    {{ month_of('date_day') }} as month_start,
    date_trunc('week', date_day)::date as week_start,
    to_char(date_day, 'YYYY-"Q"Q') as quarter_label,
    to_char(date_day, 'YYYY-MM') as month_label,
    to_char(date_day, 'IYYY-"W"IW') as week_label,
    -- the fiscal year has the number of the calendar year in which it ends
    extract(
        year from (fiscal_day + interval '{{ 12 if first_month > 1 else 0 }} months')
    )::integer as fiscal_year,
    extract(quarter from fiscal_day)::integer as fiscal_quarter,
    extract(month from fiscal_day)::integer as fiscal_month,
    (date_trunc('quarter', fiscal_day) + interval '{{ first_month - 1 }} months')::date as fiscal_quarter_start,
    date_day = (date_trunc('month', date_day) + interval '1 month' - interval '1 day')::date as is_month_end,
    is_weekend,
    holiday_name,
    is_business_day,
    count(*) filter (where is_business_day) over (order by date_day)::integer as business_day_nr,
    count(*) filter (where is_business_day) over (
        partition by date_trunc('month', date_day) order by date_day
    )::integer as business_day_of_month,
    date_day > today as is_future
from described
