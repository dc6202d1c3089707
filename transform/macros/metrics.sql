{#- What several models must define alike. -#}

{#- The present. A value, not a join: of a query that does not ask for it, PostgreSQL leaves it out. -#}
{% macro as_of() -%}
    (select clock.as_of from {{ ref('int_warehouse_clock') }} as clock)
{%- endmacro %}

{#- A share of something; null, never 0, where there is nothing to have a share of. -#}
{% macro ratio(part, whole) -%}
    round(({{ part }})::numeric / nullif({{ whole }}, 0), 4)
{%- endmacro %}

{#- By way of timestamp: from a date, PostgreSQL would go by way of the session's time zone, at thrice the time. -#}
{% macro month_of(day) -%}
    date_trunc('month', ({{ day }})::timestamp)::date
{%- endmacro %}

{#- Reasons typed alike are one reason: without accents, case and superfluous blanks. -#}
{% macro lost_reason_norm(reason) -%}
    coalesce(nullif(trim(regexp_replace(
        lower(regexp_replace(normalize(coalesce({{ reason }}, ''), nfkd), '[\u0300-\u036f]', '', 'g')), '\s+', ' ', 'g'
    )), ''), '(not given)')
{%- endmacro %}

{#-
    Office hours passed up to an instant, counted from the calendar's first day: the difference of two is the
    office time between them. Needs the instant's day of dim_date under the name given.
-#}
{% macro office_seconds(instant, day) -%}
    (
        ({{ day }}.business_day_nr - {{ day }}.is_business_day::int) * {{ office_seconds_per_day() }}
        + case
            when {{ day }}.is_business_day then greatest(0, least(
                {{ office_seconds_per_day() }},
                extract(epoch from ({{ instant }} at time zone {{ reporting_timezone() }})::time)
                - {{ (var('office_opens_at') | float * 3600) | int }}
            ))
            else 0
        end
    )
{%- endmacro %}

{% macro office_seconds_per_day() -%}
    {{ ((var('office_closes_at') | float - var('office_opens_at') | float) * 3600) | int }}
{%- endmacro %}
