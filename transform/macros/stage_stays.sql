{#-
    The stays in a stage used for durations: open, and of deals that count. Stays whose start is an estimate, and
    deals whose changelog contradicts itself, are left out.
-#}
{% macro measured_stays(until) -%}
    select
        deal_id,
        stage_id,
        owner_id,
        valid_to is not null as is_over,
        -- not extract(), whose result is numeric and slower to divide
        date_part('epoch', {{ until }} - valid_from) / 86400 as days
    from {{ ref('int_deal_stage_intervals') }}
    where
        status = 'open'
        and stage_id is not null
        and not is_inferred
        and history_quality <> 'broken_chain'
        and counted_as is not null
{%- endmacro %}

{#- Finished stays only: running ones would make the durations too short. -#}
{% macro finished_stays() -%}
    {{ measured_stays(until='valid_to') }}
        and valid_to is not null
{%- endmacro %}

{#-
    To join: `percentiles` of the values that array_agg() has collected for a group. PostgreSQL sorts all rows by
    group to compute percentiles beside other aggregates; it collects values of unsorted rows, and sorts only them.
-#}
{% macro percentiles_of(collected, shares=[0.5, 0.75, 0.9]) -%}
    lateral (
        select
            percentile_cont(array[{{ shares | join(', ') }}]::double precision [])
            within group (order by listed.value) as percentiles
        from unnest({{ collected }}) as listed (value)
    )
{%- endmacro %}
