{#-
    Build a table from what changed, or whole when that is not enough. See README.md.

    sql       the model; what stands between the markers of only_changes() leaves out what did not change
    followed  names of the relations whose changes the model sees row by row
    replaced  conditions: the rows that go before those that were built come
    newest    a query for the watermark the table has after this build
-#}
{% macro build_incrementally(sql, followed, replaced, newest) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- set whole_sql = without_only_changes(sql) -%}
    {%- set fingerprint = input_fingerprint(whole_sql, followed) -%}
    {%- set is_whole = not is_incremental() or stored_watermark().fingerprint != fingerprint or rebuild_marker() in sql -%}
    {%- if is_whole -%}
        {%- set published = publish_rows(this, whole_sql) -%}
        {%- do sum_up_anew(published) -%}
        {%- if is_incremental() -%}
            {%- do test_anew() -%}
        {%- endif -%}
    {%- else -%}
        {%- set published = this.incorporate(type='table') -%}
        {%- set aside = build_aside(sql, beside=this) -%}
        {%- set built = aside.relation -%}
        {%- set columns = fit_columns(this, aside.existing, aside.columns, built, is_partial=true) -%}
        {%- call statement('main') -%}
            {{ replace_rows(published, built, columns | join(', ', attribute='quoted'), replaced) }}
        {%- endcall -%}
    {%- endif -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {#- In the transaction that changes the rows, so that the two never disagree. -#}
    {%- do run_query(set_watermark(newest, fingerprint)) -%}
    {%- do finish_relation(published) -%}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [published]}) }}
{%- endmacro %}

{#- Unlike delete+insert by key, this also takes away the rows of a deal that has none any more. -#}
{% macro replace_rows(relation, built, columns, replaced) -%}
    {%- set conditions = replaced | list -%}
    {%- if config.get('unique_key') -%}
        {%- set key = [config.get('unique_key')] if config.get('unique_key') is string else config.get('unique_key') -%}
        {%- set key = key | join(', ') -%}
        {%- do conditions.append('(' ~ key ~ ') in (select ' ~ key ~ ' from ' ~ built ~ ')') -%}
    {%- endif -%}
    {%- for condition in conditions %}
    {{ add_to_sums('(select * from ' ~ relation ~ ' where ' ~ condition ~ ')', '-') }}
    delete from {{ relation }} where {{ condition }};
    {%- endfor %}
    insert into {{ relation }} ({{ columns }})
    select {{ columns }} from {{ built }};
    {{ add_to_sums(built, '+') }}
    {{ drop_empty_sums() }}
{%- endmacro %}

{#- Text of a model that a whole build leaves out. Clauses, or common table expressions with their comma. -#}
{% macro only_changes(text) -%}
    /* only changes: */ {{ text }} /* :only changes */
{%- endmacro %}

{% macro without_only_changes(sql) -%}
    {{- return(modules.re.sub('(?s)/[*] only changes: [*]/.*?/[*] :only changes [*]/', '', sql)) -}}
{%- endmacro %}

{#- In a model, within only_changes(): this build has to be a whole one. -#}
{% macro rebuild_marker() -%}
    {{- return('/* rebuild */') -}}
{%- endmacro %}

{#- How far a table is built: `watermark`, and the `fingerprint` of what else it was built from. -#}
{% macro stored_watermark() -%}
    {%- set stored = {'watermark': '-infinity', 'fingerprint': none} -%}
    {%- if execute -%}
        {%- set query -%}
            select coalesce(watermark, '-infinity')::text, fingerprint
            from {{ ref('int_build_watermarks') }}
            where name = '{{ this.identifier }}'
        {%- endset -%}
        {%- for watermark, fingerprint in remembered_query(query).rows -%}
            {%- do stored.update({'watermark': watermark, 'fingerprint': fingerprint}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(stored) }}
{%- endmacro %}

{% macro watermark() -%}
    {{- stored_watermark().watermark -}}
{%- endmacro %}

{% macro set_watermark(newest, fingerprint='') -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
    delete from {{ ref('int_build_watermarks') }} where name = '{{ this.identifier }}';
    insert into {{ ref('int_build_watermarks') }} (name, fingerprint, watermark)
    select '{{ this.identifier }}', '{{ fingerprint }}', ({{ newest }})
    {%- endif -%}
{%- endmacro %}

{#-
    Tests of what changed since they passed look at everything again, for all rows may be other ones: tests of this table,
    and of the views on it.
-#}
{% macro test_anew() -%}
    {%- set read = {model.unique_id: true} -%}
    {%- set tests = [] -%}
    {%- set search = namespace(found=1) -%}
    {%- for _ in range(20) if search.found -%}
        {%- set search.found = 0 -%}
        {%- for node in graph.nodes.values()
            if node.unique_id not in read and node.depends_on.nodes | select('in', read) | first -%}
            {%- if node.resource_type == 'test' -%}
                {%- do tests.append(node.unique_id) -%}
            {%- endif -%}
            {%- if 'view' in node.config.materialized or node.resource_type == 'test' -%}
                {%- do read.update({node.unique_id: true}) -%}
                {%- set search.found = search.found + 1 -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if tests -%}
        {%- do run_query(
            "delete from " ~ ref('int_build_watermarks') ~ " where name = any (array['" ~ tests | join("', '") ~ "'])"
        ) -%}
    {%- endif -%}
{%- endmacro %}

{#- Of a table that survives a full refresh: whether this is one. -#}
{% macro is_full_refresh() -%}
    {{- return((execute and flags.FULL_REFRESH) | string | lower == 'true') -}}
{%- endmacro %}

{#- The table that held the watermarks until version 0.1; they are noted anew. -#}
{% macro drop_earlier_watermarks() -%}
    {%- if execute and not load_relation(this) -%}
    drop table if exists {{ this.incorporate(path={'identifier': 'int_build_marks'}) }}
    {%- endif -%}
{%- endmacro %}
