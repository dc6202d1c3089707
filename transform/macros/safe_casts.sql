{#- Casts that give null instead of an error: what people type into a CRM must not stop a build. -#}

{% macro try_numeric(text) -%}
    case when {{ text }} ~ '^[-+]?[0-9]{1,100}([.][0-9]{1,100})?([eE][-+]?[0-9]{1,2})?$' then ({{ text }})::numeric end
{%- endmacro %}

{% macro try_bigint(text) -%}
    case when {{ text }} ~ '^-?[0-9]{1,18}$' then ({{ text }})::bigint end
{%- endmacro %}

{#- The inner branch knows how long the month is: 2026-02-30 is text, not a date. -#}
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
