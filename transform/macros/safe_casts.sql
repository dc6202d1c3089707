{#- Casts that give null instead of an error: values typed into a CRM must not stop a build. -#}

{% macro try_numeric(text) -%}
    case when {{ text }} ~ '^[-+]?[0-9]{1,100}([.][0-9]{1,100})?([eE][-+]?[0-9]{1,2})?$' then ({{ text }})::numeric end
{%- endmacro %}

{% macro try_bigint(text) -%}
    case when {{ text }} ~ '^-?[0-9]{1,18}$' then ({{ text }})::bigint end
{%- endmacro %}

{#- The inner branch checks the length of the month: 2026-02-30 is not a date. -#}
{% macro try_date(text) -%}
    case
        when {{ text }} ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' and left({{ text }}, 4) <> '0000'
            then case
                when right({{ text }}, 2)::int <= extract(
                    day from (left({{ text }}, 7) || '-01')::date + interval '1 month' - interval '1 day'
                ) then ({{ text }})::date
            end
    end
{%- endmacro %}

{% macro try_time(text) -%}
    case when {{ text }} ~ '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$' then ({{ text }})::time end
{%- endmacro %}

{#- ISO 8601, with or without a time and a zone; without a zone it is UTC. -#}
{% macro try_timestamptz(text) -%}
    case
        when
            {{ text }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?(Z|[-+](0[0-9]|1[0-4]):?[0-5][0-9])?)?$'
            and {{ try_date('left(' ~ text ~ ', 10)') }} is not null
            then case
                when {{ text }} ~ '[T ].*(Z|[-+][0-9:]+)$' then ({{ text }})::timestamptz
                else ({{ text }})::timestamp at time zone 'UTC'
            end
    end
{%- endmacro %}

{#-
    A column may contain values that are not plausible and that many programs cannot read: infinity, PHP's zero
    date, the year 292277. A date must be in the years 1 to 9999, the range of dates in common languages; an
    instant, which machines write, between 1900 and 2200.
-#}
{% macro possible_date(day) -%}
    case when {{ day }} between '0001-01-01' and '9999-12-31' then {{ day }} end
{%- endmacro %}

{% macro possible_time(instant) -%}
    case when {{ instant }} >= '1900-01-01 00:00:00+00' and {{ instant }} < '2200-01-01 00:00:00+00' then {{ instant }} end
{%- endmacro %}

{#- One NaN would make every sum NaN. -#}
{% macro possible_number(number) -%}
    case when {{ number }} not in ('NaN', 'Infinity', '-Infinity') then {{ number }} end
{%- endmacro %}
