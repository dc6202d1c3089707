{#-
    A column of the exchange rate of a deal's day (`currency` and `rated_on` of `deals_with_days`), as a scalar
    subquery: PostgreSQL omits it if a query does not need it.
-#}
{% macro rate_in_force(column) -%}
    (
        select rates.{{ column }}
        from {{ ref('int_fx_rates_in_force') }} as rates
        where rates.currency = deals_with_days.currency and rates.valid_from <= deals_with_days.rated_on
        order by rates.valid_from desc
        limit 1
    )
{%- endmacro %}

{#-
    Number of deals of a group with a value and no exchange rate: a sum in the base currency leaves them out, so
    each report with such a sum has this count beside it. Needs `fx_missing` of each deal.
-#}
{% macro deals_without_rate(condition=none) -%}
    (count(*) filter (where fx_missing{{ ' and ' ~ condition if condition }}))::integer
{%- endmacro %}

{#- A column of a product line at the rate of its deal (`lines`, `deals`), so that lines and deal have the same sum. -#}
{% macro of_line_in_base(column) -%}
    case when lines.currency = deals.currency then round(lines.{{ column }} * deals.fx_rate, 2) end
{%- endmacro %}
