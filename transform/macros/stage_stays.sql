{#-
    The stays in a stage used for durations: open, and of deals that count. Stays whose start is an estimate, and
    deals whose changelog contradicts itself, are left out.
-#}
{% macro is_measured_stay() -%}
    status = 'open'
    and stage_id is not null
    and not is_inferred
    and history_quality <> 'broken_chain'
    and counted_as is not null
{%- endmacro %}

{#- Not extract(), whose result is numeric and slower to divide. -#}
{% macro days_of_stay(until='valid_to') -%}
    date_part('epoch', {{ until }} - valid_from) / 86400
{%- endmacro %}

{#-
    To join: `percentiles` of the values that array_agg() has collected for a group. PostgreSQL sorts all rows by
    group to compute percentiles beside other aggregates; it collects values of unsorted rows, and sorts only them.
-#}
{% macro percentiles_of(collected, shares=[0.5, 0.75, 0.9]) -%}
    lateral (
        select {{ percentiles('listed.value', shares) }} as percentiles
        from unnest({{ collected }}) as listed (value)
    )
{%- endmacro %}

{% macro percentiles(value, shares=[0.5, 0.75, 0.9]) -%}
    percentile_cont(array[{{ shares | join(', ') }}]::double precision []) within group (order by {{ value }})
{%- endmacro %}
