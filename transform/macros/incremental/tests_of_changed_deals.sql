{#-
    Tests of tables with rows of many deals look at the deals that changed since the test last passed: the rows of
    the others are the rows it saw then. A test that fails keeps what it failed on in view until it passes; a
    test that is new, or written anew, looks at everything, and so does `--vars 'test_all_deals: true'`.
    How far a test has come is noted in int_build_watermarks, by record_test_results().
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
    {%- set wanted = config.get('where', '') -%}
    {%- set seen = _seen_by_generic_test() -%}
    {%- if seen and _is_kept('incremental_by_record') -%}
        (
            select * from {{ relation }}
            -- a minute, lest two clocks differ; of a row without a stamp nobody knows when it came
            where
                (_loaded_at > '{{ seen }}'::timestamptz - interval '1 minute' or _loaded_at is null)
                {{ 'and (' ~ wanted ~ ')' if wanted }}
        ) as untested
    {%- elif seen -%}
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

{#- Of the few rows that are looked at, what they name is looked up; else the other table is read in whole. -#}
{% macro postgres__test_relationships(model, column_name, to, field) -%}
    with child as (
        select {{ column_name }} as from_field
        from {{ model }}
        where {{ column_name }} is not null
    ),

    parent as (
        select {{ field }} as to_field
        from {{ to }}
        {%- if _seen_by_generic_test() %}
        where {{ field }} = any(array(select child.from_field from child))
        {%- endif %}
    )

    select child.from_field
    from child
    left join parent on child.from_field = parent.to_field
    where parent.to_field is null
{%- endmacro %}

{% macro _seen_by_generic_test() -%}
    {{ return(tested_through() if execute and (_is_kept('incremental_by_deal') or _is_kept('incremental_by_record'))) }}
{%- endmacro %}

{#-
    What the model a test is about says of its rows (`meta`). incremental_by_deal: each depends on one deal alone.
    incremental_by_record: each on one record alone, and a key holds them apart, so that those loaded since tell
    everything.
-#}
{% macro _is_kept(how) -%}
    {%- set node = graph.nodes.get(model.attached_node) if graph and model.attached_node else none -%}
    {{ return(node is not none and node.config.meta.get(how, false)) }}
{%- endmacro %}

{#- The newest version of a deal that this test has passed for; null = it has to look at all. -#}
{% macro tested_through() -%}
    {%- if execute and flags.WHICH in ('test', 'build') and not var('test_all_deals', false) -%}
        {%- set watermarks = load_relation(model_relation('int_build_watermarks')) -%}
        {%- if watermarks -%}
            {%- set found = run_query(
                "select max(watermark)::text from " ~ watermarks ~ " where name = '" ~ model.unique_id
                ~ "' and fingerprint = '" ~ local_md5(model.raw_code) ~ "'"
            ).rows[0][0] -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{#- What passed has seen every deal there is by now. A test that is written anew is another one. -#}
{% macro mark_tested(results) -%}
    {%- set watermarks = load_relation(model_relation('int_build_watermarks')) -%}
    {%- set versions = load_relation(model_relation('int_deal_versions')) -%}
    {%- set passed = [] -%}
    {%- for result in results if result.node.resource_type == 'test' and result.status | string == 'pass' -%}
        {%- do passed.append("('" ~ result.node.unique_id ~ "', '" ~ local_md5(result.node.raw_code) ~ "')") -%}
    {%- endfor -%}
    {%- if watermarks and versions and passed %}
    delete from {{ watermarks }} where name in (select passed.name from (values {{ passed | join(', ') }}) as passed (name, fingerprint));
    insert into {{ watermarks }} (name, fingerprint, watermark)
    select
        passed.name,
        passed.fingerprint,
        newest.version
    from (values {{ passed | join(', ') }}) as passed (name, fingerprint)
    cross join (select max(version) as version from {{ versions }}) as newest
    {%- endif -%}
{%- endmacro %}
