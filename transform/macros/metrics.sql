{#- Definitions that several models share. -#}

{#- The current time. A scalar subquery, not a join: PostgreSQL omits it if a query does not need it. -#}
{% macro as_of() -%}
    (select clock.as_of from {{ ref('int_warehouse_clock') }} as clock)
{%- endmacro %}

{#- A share; null, never 0, if the denominator is 0. -#}
{% macro ratio(part, whole) -%}
    round(({{ part }})::numeric / nullif({{ whole }}, 0), 4)
{%- endmacro %}

{#-
    Converted through timestamp: from a date, PostgreSQL would use the session's time zone, which takes three times
    as long.
-#}
{% macro month_of(day) -%}
    date_trunc('month', ({{ day }})::timestamp)::date
{%- endmacro %}

{#- The Monday of a day's week. -#}
{% macro week_of(day) -%}
    date_trunc('week', ({{ day }})::timestamp)::date
{%- endmacro %}

{#- Reasons that differ only in accents, case and superfluous blanks are one reason. -#}
{% macro lost_reason_norm(reason) -%}
    coalesce(nullif(trim(regexp_replace(
        lower(regexp_replace(normalize(coalesce({{ reason }}, ''), nfkd), '[\u0300-\u036f]', '', 'g')), '\s+', ' ', 'g'
    )), ''), '(not given)')
{%- endmacro %}

{#-
    Office hours up to an instant, from the calendar's first day: the difference of two values is the office time
    between them. Needs the instant's row of dim_date under the given name.
-#}
{% macro office_seconds(instant, day) -%}
    (
        ({{ day }}.business_day_nr - {{ day }}.is_business_day::int) * {{ office_seconds_per_day() }}
        + case
            when {{ day }}.is_business_day then greatest(0, least(
                {{ office_seconds_per_day() }},
                date_part('epoch', ({{ instant }} at time zone {{ reporting_timezone() }})::time)
                - {{ (var('office_opens_at') | float * 3600) | int }}
            ))
            else 0
        end
    )
{%- endmacro %}

{% macro office_seconds_per_day() -%}
    {{ ((var('office_closes_at') | float - var('office_opens_at') | float) * 3600) | int }}
{%- endmacro %}

{#-
    Hours of a duration, to three decimals. Double precision: to compute a percentile of numeric values, PostgreSQL
    converts each to text and back.
-#}
{% macro hours_of(seconds) -%}
    floor(({{ seconds }} * 10 + 18) / 36) / 1000
{%- endmacro %}
