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
    {{ first }} {{ _is_newer(deal_id, seen) }}
    {%- endif -%}
{%- endmacro %}

{#- For generic tests: dbt asks this macro what to select from. -#}
{% macro postgres__get_where_subquery(relation) -%}
    {%- set wanted = config.get('where', '') -%}
    {%- set seen = tested_through() if execute and is_told_by_deal() -%}
    {%- if seen -%}
        (
            select * from {{ relation }}
            where {{ _is_newer('deal_id', seen) }} {{ 'and (' ~ wanted ~ ')' if wanted }}
        ) as untested
    {%- elif wanted -%}
        (select * from {{ relation }} where {{ wanted }}) as wanted
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}

{#- Whether each row of the model a test is about depends on one deal alone. -#}
{% macro is_told_by_deal() -%}
    {%- set node = graph.nodes.get(model.attached_node) if graph and model.attached_node else none -%}
    {{ return(node is not none and node.config.meta.get('told_by_deal', false)) }}
{%- endmacro %}

{#- The newest version of a deal that this test has passed for; null = it has to look at all. -#}
{% macro tested_through() -%}
    {%- if execute and flags.WHICH in ('test', 'build') and not var('test_all_deals', false) -%}
        {%- set marks = load_relation(_intermediate('int_build_marks')) -%}
        {%- if marks -%}
            {%- set found = run_query(
                "select max(built_through)::text from " ~ marks ~ " where model = '" ~ test_mark(model) ~ "'"
            ).rows[0][0] -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{#-
    Whether a deal has a version newer than that. A few deals are named one by one: such a condition gets into
    a view, where the indexes are, before its rows are made; a subquery does not.
-#}
{% macro _is_newer(deal_id, seen) -%}
    {%- set few = 5000 -%}
    {%- set newer -%}
        select versions.deal_id
        from {{ _intermediate('int_deal_versions') }} as versions
        where versions.version > '{{ seen }}'::timestamptz
    {%- endset -%}
    {%- set found = run_query(newer ~ ' limit ' ~ (few + 1)).columns[0].values() -%}
    {%- if found | length > few -%}
        {{ deal_id }} in ({{ newer }})
    {%- else -%}
        {{ deal_id }} = any('{ {{- found | join(',') -}} }'::bigint[])
    {%- endif -%}
{%- endmacro %}

{#- Not ref(): a test would then wait for these, and so would whoever selects it. -#}
{% macro _intermediate(name) -%}
    {{ return(api.Relation.create(database=target.database, schema='intermediate', identifier=name)) }}
{%- endmacro %}

{#- A test is known by its name and its text. -#}
{% macro test_mark(node) -%}
    {{- return(node.unique_id ~ ':' ~ local_md5(node.raw_code)) -}}
{%- endmacro %}

{#- What passed has seen every deal there is by now. -#}
{% macro mark_tested(results) -%}
    {%- set marks = load_relation(_intermediate('int_build_marks')) -%}
    {%- set versions = load_relation(_intermediate('int_deal_versions')) -%}
    {%- set passed = [] -%}
    {%- for result in results if result.node.resource_type == 'test' and result.status | string == 'pass' -%}
        {%- do passed.append(test_mark(result.node)) -%}
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
