{#-
    The last result of each data test, stored in the warehouse, so that failures of unattended runs are visible. One
    row per test, so the table does not grow; `failing_since` separates new failures from old ones.
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
    with results (test_id, test_name, model, column_name, severity, status, n_failures, message) as (
        values {{ rows | join(',\n        ') }}
    ),
    renewed as (
        delete from {{ table }} as known
        using results
        where known.test_id = results.test_id
        returning known.test_id, known.failing_since
    )
    insert into {{ table }} (
        test_id, test_name, model, column_name, severity, status, n_failures, message, failing_since, tested_at
    )
    select
        results.test_id, results.test_name, nullif(results.model, ''), nullif(results.column_name, ''), results.severity,
        results.status, results.n_failures::bigint, nullif(results.message, ''),
        case when results.status <> 'pass' then coalesce(renewed.failing_since, now()) end,
        now()
    from results
    left join renewed on results.test_id = renewed.test_id;
        {%- set present = [] -%}
        {%- for id in graph.nodes if id.startswith('test.') -%}
            {%- do present.append(id) -%}
        {%- endfor %}
    delete from {{ table }} where test_id <> all (array['{{ present | join("', '") }}']);
    {%- endif -%}
    {{ mark_tested(outcomes) }}
{%- endmacro %}

{#- At the end of a run: the results of its tests, and the complete models. -#}
{% macro record_results(results) -%}
    {%- if execute and flags.WHICH in ('test', 'build') -%}
        {%- set outcomes = test_outcomes(results) -%}
        {{ record_test_results(outcomes) }}
        {{ record_build_end(results, outcomes) }}
    {%- endif -%}
{%- endmacro %}
