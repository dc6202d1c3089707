{#-
    How each data test last went, kept in the warehouse: what runs unattended must be seen to fail. One row per
    test, so it never grows; `failing_since` tells a new failure from an old one.
-#}
{% macro record_test_results(outcomes) -%}
    {%- set table = load_relation(model_relation('ops_dbt_test_result')) -%}
    {%- set rows = [] -%}
    {%- do store_broken_rules(outcomes) -%}
    {%- for outcome in outcomes -%}
        {%- set model = (outcome.test.attached_node or '').split('.') | last -%}
        {%- do rows.append("('" ~ [
            outcome.test.unique_id, outcome.test.name, model, outcome.test.column_name or '',
            outcome.test.config.severity | lower, outcome.status, outcome.n_failures | string,
            '' if outcome.status in ('pass', 'fail') else outcome.message
        ] | map('replace', "'", "''") | join("', '") ~ "')") -%}
    {%- endfor -%}
    {%- if table and rows %}
    with told (test_id, test_name, model, column_name, severity, status, n_failures, message) as (
        values {{ rows | join(',\n        ') }}
    ),
    renewed as (
        delete from {{ table }} as known
        using told
        where known.test_id = told.test_id
        returning known.test_id, known.failing_since
    )
    insert into {{ table }} (
        test_id, test_name, model, column_name, severity, status, n_failures, message, failing_since, tested_at
    )
    select
        told.test_id, told.test_name, nullif(told.model, ''), nullif(told.column_name, ''), told.severity,
        told.status, told.n_failures::bigint, nullif(told.message, ''),
        case when told.status <> 'pass' then coalesce(renewed.failing_since, now()) end,
        now()
    from told
    left join renewed on told.test_id = renewed.test_id;
        {%- set present = [] -%}
        {%- for id in graph.nodes if id.startswith('test.') -%}
            {%- do present.append(id) -%}
        {%- endfor %}
    delete from {{ table }} where test_id <> all (array['{{ present | join("', '") }}']);
    {%- endif -%}
    {{ mark_tested(outcomes) }}
{%- endmacro %}

{#- When a run has ended: how its tests went, and what is complete. -#}
{% macro record_results(results) -%}
    {%- if execute and flags.WHICH in ('test', 'build') -%}
        {%- set outcomes = test_outcomes(results) -%}
        {{ record_test_results(outcomes) }}
        {{ record_build_end(results, outcomes) }}
    {%- endif -%}
{%- endmacro %}
