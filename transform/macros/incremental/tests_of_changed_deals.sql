{#-
    Tests of tables with many rows per deal check only the deals that changed since the test last passed: the rows
    of the others are unchanged since then. A test that fails checks the same rows again until it passes; a new or
    changed test checks all rows, and so does `--vars 'test_all_deals: true'`. record_test_results() stores a test's
    watermark in int_build_watermarks.
-#}

{#- For singular tests: `where deal_id in (...)`, or nothing. -#}
{% macro where_untested_deal(deal_id='deal_id', first='where') -%}
    {%- set seen = tested_through() -%}
    {%- if seen %}
    {{ first }} {{ is_newer_deal(deal_id, seen, model_relation('int_deal_versions')) }}
    {%- endif -%}
{%- endmacro %}

{#- For generic tests: dbt calls this macro for the relation to select from. -#}
{% macro postgres__get_where_subquery(relation) -%}
    {%- set how = how_incremental(model) -%}
    {{- untested_rows(relation, how, tested_through() if how, config.get('where')) -}}
{%- endmacro %}

{#-
    The rows of a table that a test must check. `is_changed`: the condition that a deal has changed since then, if
    it is known already.
-#}
{% macro untested_rows(relation, how, seen, wanted, is_changed=none) -%}
    {%- if seen and how == 'incremental_by_record' -%}
        (
            select * from {{ relation }}
            -- one minute of tolerance for different clocks; a row without a stamp has no known load time
            where
                (_loaded_at > '{{ seen }}'::timestamptz - interval '1 minute' or _loaded_at is null)
                {{ 'and (' ~ wanted ~ ')' if wanted }}
        ) as untested
    {%- elif seen and how -%}
        (
            select * from {{ relation }}
            where {{ is_changed or is_newer_deal('deal_id', seen, model_relation('int_deal_versions')) }} {{ 'and (' ~ wanted ~ ')' if wanted }}
        ) as untested
    {%- elif wanted -%}
        (select * from {{ relation }} where {{ wanted }}) as wanted
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}

{% macro postgres__test_relationships(model, column_name, to, field) -%}
    {{- missing_references(model, column_name, to, field, is_partial=execute and how_incremental(context['model']) and tested_through()) -}}
{%- endmacro %}

{#-
    References of the few checked rows are looked up by index; otherwise the other table is scanned. PostgreSQL does not
    know how many are looked up: joined, they would be compared with every row in turn, so it is `not in`, which hashes.
-#}
{% macro missing_references(rows, column_name, to, field, is_partial) -%}
    with child as (
        select {{ column_name }} as from_field
        from {{ rows }}
        where {{ column_name }} is not null
    )

    select child.from_field
    from child
    {%- if is_partial %}
    where
        child.from_field not in (
            select {{ field }} from {{ to }}
            where {{ field }} = any(array(select looked_up.from_field from child as looked_up))
        )
    {%- else %}
    left join {{ to }} as parent on child.from_field = parent.{{ field }}
    where parent.{{ field }} is null
    {%- endif %}
{%- endmacro %}

{#-
    The kind of rows of a test's model (`meta`). incremental_by_deal: each row depends on one deal only.
    incremental_by_record: each row depends on one record only and has a key, so rows loaded since then are enough.
    none: neither.
-#}
{% macro how_incremental(test) -%}
    {%- set node = graph.nodes.get(test.attached_node) if execute and graph and test.attached_node else none -%}
    {%- set meta = node.config.meta if node else {} -%}
    {{ return(
        'incremental_by_record' if meta.get('incremental_by_record')
        else 'incremental_by_deal' if meta.get('incremental_by_deal')
    ) }}
{%- endmacro %}

{#- The newest version of a deal for which this test has passed; null if it must check all deals. -#}
{% macro tested_through() -%}
    {%- if execute -%}
        {{ return(tested_through_by([model]).get(model.unique_id)) }}
    {%- endif -%}
{%- endmacro %}

{#- The same for several tests, by their ids. -#}
{% macro tested_through_by(tests) -%}
    {%- set found = {} -%}
    {%- if execute and flags.WHICH in ('test', 'build') and not var('test_all_deals', false) -%}
        {%- set watermarks = load_relation(model_relation('int_build_watermarks')) -%}
        {%- set known = [] -%}
        {%- for test in tests -%}
            {%- do known.append("('" ~ test.unique_id ~ "', '" ~ local_md5(test.raw_code) ~ "')") -%}
        {%- endfor -%}
        {%- if watermarks and known -%}
            {%- set query -%}
                select name, max(watermark)::text from {{ watermarks }}
                where (name, fingerprint) in ({{ known | join(', ') }})
                group by name
            {%- endset -%}
            {%- for row in remembered_query(query).rows -%}
                {%- do found.update({row[0]: row[1]}) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{#- A passed test has checked all present deals. A changed test counts as a new one. -#}
{% macro mark_tested(outcomes) -%}
    {%- set watermarks = load_relation(model_relation('int_build_watermarks')) -%}
    {%- set versions = load_relation(model_relation('int_deal_versions')) -%}
    {%- set passed = [] -%}
    {%- for outcome in outcomes if outcome.status == 'pass' -%}
        {%- do passed.append("('" ~ outcome.test.unique_id ~ "', '" ~ local_md5(outcome.test.raw_code) ~ "')") -%}
    {%- endfor -%}
    {%- if watermarks and versions and passed %}
    delete from {{ watermarks }} where name in (select passed.name from (values {{ passed | join(', ') }}) as passed (name, fingerprint));
    insert into {{ watermarks }} (name, fingerprint, watermark)
    select
        passed.name,
        passed.fingerprint,
        newest.version
    from (values {{ passed | join(', ') }}) as passed (name, fingerprint)
    cross join (select max(version) as version from {{ versions }}) as newest;
    {%- endif -%}
{%- endmacro %}
