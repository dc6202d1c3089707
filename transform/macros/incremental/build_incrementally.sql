{#-
    Build a table from changed rows, or completely if that is not enough. See README.md.

    sql       the model; text between the markers of only_changes() limits it to changed rows
    followed  names of the relations whose changes the model follows row by row
    replaced  conditions: the rows to delete before the new rows are inserted
    newest    a query for the table's watermark after this build
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
    {#- In the transaction that changes the rows, so that rows and watermark always agree. -#}
    {%- do run_query(set_watermark(newest, fingerprint)) -%}
    {%- do finish_relation(published) -%}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [published]}) }}
{%- endmacro %}

{#- Unlike delete+insert by key, this also deletes the rows of a deal that has none any more. -#}
{% macro replace_rows(relation, built, columns, replaced) -%}
    {%- set conditions = replaced | list -%}
    {%- if config.get('unique_key') -%}
        {%- set key = [config.get('unique_key')] if config.get('unique_key') is string else config.get('unique_key') -%}
        {%- set key = key | join(', ') -%}
        {%- do conditions.append('(' ~ key ~ ') in (select ' ~ key ~ ' from ' ~ built ~ ')') -%}
    {%- endif -%}
    {%- if config.get('summed_into') -%}
    {{ update_sums(relation, conditions, built) }}
    {%- else -%}
    {%- for condition in conditions %}
    delete from {{ relation }} where {{ condition }};
    {%- endfor %}
    {%- endif %}
    insert into {{ relation }} ({{ columns }})
    select {{ columns }} from {{ built }};
{%- endmacro %}

{#- Text of a model that a full build leaves out: clauses, or common table expressions with their comma. -#}
{% macro only_changes(text) -%}
    /* only changes: */ {{ text }} /* :only changes */
{%- endmacro %}

{% macro without_only_changes(sql) -%}
    {{- return(modules.re.sub('(?s)/[*] only changes: [*]/.*?/[*] :only changes [*]/', '', sql)) -}}
{%- endmacro %}

{#- In a model, within only_changes(): this build must be a full one. -#}
{% macro rebuild_marker() -%}
    {{- return('/* rebuild */') -}}
{%- endmacro %}

{#- The state of a table's build: `watermark`, and the `fingerprint` of its other inputs. -#}
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
    After a full build, tests of only the changed rows check all rows again: tests of this table, and of the views
    on it.
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

{#- For a table that a full refresh does not replace: whether this is a full refresh. -#}
{% macro is_full_refresh() -%}
    {{- return((execute and flags.FULL_REFRESH) | string | lower == 'true') -}}
{%- endmacro %}

{#- The table of watermarks until version 0.1; watermarks are recorded again. -#}
{% macro drop_earlier_watermarks() -%}
    {%- if execute and not load_relation(this) -%}
    drop table if exists {{ this.incorporate(path={'identifier': 'int_build_marks'}) }}
    {%- endif -%}
{%- endmacro %}
