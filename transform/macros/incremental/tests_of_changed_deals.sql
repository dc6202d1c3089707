{#-
    Tests of tables with rows of many deals look at the deals that changed since the test last passed: the rows of
    the others are the rows it saw then. A test that fails keeps what it failed on in view until it passes; a
    test that is new, or written anew, looks at everything, and so does `--vars 'test_all_deals: true'`.
    How far a test has come is noted in int_build_marks, by record_test_results().
-#}

{#- For singular tests: `where deal_id in (...)`, or nothing. -#}
{% macro where_untested_deal(deal_id='deal_id', first='where') -%}
    {%- set seen = tested_through() -%}
    {%- if seen %}
    {{ first }} {{ is_newer_deal(deal_id, seen, model_relation('int_deal_versions')) }}
    {%- endif -%}
{%- endmacro %}

{#- For generic tests: dbt asks this macro what to select from. -#}
{% macro postgres__get_where_subquery(relation) -%}
    {%- set how = how_told(model) -%}
    {{- untested_rows(relation, how, tested_through() if how, config.get('where')) -}}
{%- endmacro %}

{#- The rows of a table that a test has to look at: what it selects from. -#}
{% macro untested_rows(relation, how, seen, wanted) -%}
    {%- if seen and how == 'told_by_load' -%}
        (
            select * from {{ relation }}
            -- a minute, lest two clocks differ; of a row without a stamp nobody knows when it came
            where
                (_loaded_at > '{{ seen }}'::timestamptz - interval '1 minute' or _loaded_at is null)
                {{ 'and (' ~ wanted ~ ')' if wanted }}
        ) as untested
    {%- elif seen and how -%}
        (
            select * from {{ relation }}
            where {{ is_newer_deal('deal_id', seen, model_relation('int_deal_versions')) }} {{ 'and (' ~ wanted ~ ')' if wanted }}
        ) as untested
    {%- elif wanted -%}
        (select * from {{ relation }} where {{ wanted }}) as wanted
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}

{% macro postgres__test_relationships(model, column_name, to, field) -%}
    {{- missing_references(model, column_name, to, field, is_partial=execute and how_told(context['model']) and tested_through()) -}}
{%- endmacro %}

{#- Of the few rows that are looked at, what they name is looked up; else the other table is read in whole. -#}
{% macro missing_references(rows, column_name, to, field, is_partial) -%}
    with child as (
        select {{ column_name }} as from_field
        from {{ rows }}
        where {{ column_name }} is not null
    ),

    parent as (
        select {{ field }} as to_field
        from {{ to }}
        {%- if is_partial %}
        where {{ field }} = any(array(select child.from_field from child))
        {%- endif %}
    )

    select child.from_field
    from child
    left join parent on child.from_field = parent.to_field
    where parent.to_field is null
{%- endmacro %}

{#-
    What the model a test is about says of its rows. told_by_deal: each depends on one deal alone. told_by_load: each
    on one record alone, and a key holds them apart, so that those loaded since tell everything. none: neither.
-#}
{% macro how_told(test) -%}
    {%- set node = graph.nodes.get(test.attached_node) if execute and graph and test.attached_node else none -%}
    {%- set meta = node.config.meta if node else {} -%}
    {{ return('told_by_load' if meta.get('told_by_load') else 'told_by_deal' if meta.get('told_by_deal') else none) }}
{%- endmacro %}

{#- The newest version of a deal that this test has passed for; null = it has to look at all. -#}
{% macro tested_through() -%}
    {%- if execute -%}
        {{ return(tested_through_by([model]).get(model.unique_id)) }}
    {%- endif -%}
{%- endmacro %}

{#- The same of several tests, by their ids. -#}
{% macro tested_through_by(tests) -%}
    {%- set found = {} -%}
    {%- if execute and flags.WHICH in ('test', 'build') and not var('test_all_deals', false) -%}
        {%- set marks = load_relation(model_relation('int_build_marks')) -%}
        {%- set ids = {} -%}
        {%- for test in tests -%}
            {%- do ids.update({test_mark(test): test.unique_id}) -%}
        {%- endfor -%}
        {%- if marks and ids -%}
            {%- set query -%}
                select model, max(built_through)::text from {{ marks }}
                where model = any(array['{{ ids | join("', '") }}'])
                group by model
            {%- endset -%}
            {%- for row in run_query(query).rows -%}
                {%- do found.update({ids[row[0]]: row[1]}) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{#- A test is known by its name and its text. -#}
{% macro test_mark(node) -%}
    {{- return(node.unique_id ~ ':' ~ local_md5(node.raw_code)) -}}
{%- endmacro %}

{#- What passed has seen every deal there is by now. -#}
{% macro mark_tested(outcomes) -%}
    {%- set marks = load_relation(model_relation('int_build_marks')) -%}
    {%- set versions = load_relation(model_relation('int_deal_versions')) -%}
    {%- set passed = [] -%}
    {%- for outcome in outcomes if outcome.status == 'pass' -%}
        {%- do passed.append(test_mark(outcome.test)) -%}
    {%- endfor -%}
    {%- if marks and versions and passed %}
    delete from {{ marks }} where model = any (array['{{ passed | join("', '") }}']);
    insert into {{ marks }} (model, built_through)
    select
        passed.mark,
        newest.version
    from unnest(array['{{ passed | join("', '") }}']) as passed (mark)
    cross join (select max(version) as version from {{ versions }}) as newest
    {%- endif -%}
{%- endmacro %}
