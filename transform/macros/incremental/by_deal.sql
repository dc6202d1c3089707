{#-
    Tables kept deal by deal. `int_deal_versions` gives every deal that changed a new version; each model with
    incremental_strategy='by_deal' notes the newest version it was built from (int_build_marks), and rebuilds
    all rows of the deals that have a newer one. A run that broke off in the middle is thereby made up for,
    model by model. Such a model may only depend on the deal's own rows, and on what deal_rules() names.
-#}

{#- In a model: `where deal_id = any(...)`, or nothing when everything is built. Needs `-- depends_on` of both. -#}
{% macro where_deal_changed(deal_id='deal_id', first='where') -%}
    {%- if this and is_incremental() -%}
    {{ first }} {{ is_changed_deal(deal_id) }}
    {%- endif -%}
{%- endmacro %}

{#- Whether a deal has a newer version than the one this model was built from. -#}
{% macro is_changed_deal(deal_id='deal_id') -%}
    {{- is_newer_deal(deal_id, built_through(), ref('int_deal_versions')) -}}
{%- endmacro %}

{#- What a model was last built from: a version, or another mark in time. -#}
{% macro built_through() -%}
    {%- set query -%}
        select coalesce(max(built_through), '-infinity')::text
        from {{ ref('int_build_marks') }}
        where model = '{{ build_mark() }}'
    {%- endset -%}
    {{- run_query(query).rows[0][0] if execute -}}
{%- endmacro %}

{#- Whether a deal has a version newer than that. -#}
{% macro is_newer_deal(deal_id, built_through, versions) -%}
    {%- set newer -%}
        select versions.deal_id
        from {{ versions }} as versions
        where versions.version > '{{ built_through }}'::timestamptz
    {%- endset -%}
    {{- is_one_of(deal_id, newer) -}}
{%- endmacro %}

{#-
    Whether a deal is one of those that a query finds. A few are named one by one: PostgreSQL then knows that they
    are few, and such a condition gets into a view, where the indexes are, before its rows are made; a subquery
    does not.
-#}
{% macro is_one_of(deal_id, query) -%}
    {%- set few = 5000 -%}
    {%- set found = run_query(query ~ ' limit ' ~ (few + 1)).columns[0].values() if execute else [] -%}
    {%- if found | length > few -%}
        {{ deal_id }} in ({{ query }})
    {%- else -%}
        {{ deal_id }} = any('{ {{- found | join(',') -}} }'::bigint[])
    {%- endif -%}
{%- endmacro %}

{#-
    A model that also stands on something else says so, and is built anew when that is another: generated
    columns, settings, or by stands_on={'model': 'columns'} what some small tables hold.
-#}
{% macro build_mark() -%}
    {{ this.identifier }}
    {%- if config.get('generated_columns') -%}
        :{{ local_md5(published_custom_fields('deal') ~ published_stage_columns()) }}
    {%- endif -%}
    {%- if config.get('settings') -%}
        :{{ local_md5(config.get('settings') | join) }}
    {%- endif -%}
    {%- if execute -%}
        {%- for model, columns in config.get('stands_on', {}).items() -%}
            {%- set query -%}
                select md5(string_agg(held::text, '|' order by held::text))
                from (select {{ columns }} from {{ ref(model) }}) as held
            {%- endset -%}
            :{{ run_query(query).rows[0][0] }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{#- Of models kept deal by deal. Part of the model's own transaction, so mark and rows never disagree. -#}
{% macro mark_built() -%}
    {%- if config.get('incremental_strategy') in ['by_deal', 'by_deal_summed'] -%}
    {{ set_build_mark("select max(version) from " ~ ref('int_deal_versions')) }}
    {%- endif -%}
{%- endmacro %}

{% macro set_build_mark(newest) -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
    delete from {{ ref('int_build_marks') }} where split_part(model, ':', 1) = '{{ this.identifier }}';
    insert into {{ ref('int_build_marks') }} (model, built_through)
    select '{{ build_mark() }}', ({{ newest }})
    {%- endif -%}
{%- endmacro %}

{#-
    Unlike delete+insert by key, this also takes away the rows of a deal that has none any more. Of all deals at once,
    most rows are as they were.
-#}
{% macro get_incremental_by_deal_sql(arg_dict) -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- if built_through() == '-infinity' -%}
        {%- set columns = [] -%}
        {%- for column in arg_dict['dest_columns'] -%}
            {%- do columns.append({'name': column.name, 'quoted': column.quoted, 'value': 'new.' ~ column.quoted}) -%}
        {%- endfor -%}
        {{ return(replace_differing_rows(arg_dict['target_relation'], arg_dict['temp_relation'], columns)) }}
    {%- endif -%}
    delete from {{ arg_dict['target_relation'] }} where {{ is_changed_deal() }};
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}

{#-
    What all deals are built by, beside their own rows: when it changes, every deal is built anew. Raise the
    first number when a change to a by_deal model gives other results from the same rows.
-#}
{% macro deal_rules() -%}
    hashtextextended(
        concat_ws(
            '|', '5', {{ reporting_timezone() }}, '{{ var('clock_tolerance_seconds') }}',
            (
                select string_agg(
                    concat_ws(',', stage_id, pipeline_id, order_nr, coalesce(stage_rank, 0)), ';' order by stage_id
                )
                from {{ ref('int_stage_order') }}
            )
        ),
        0
    )
{%- endmacro %}

{#- Whether any deal was versioned by other rules than today's; a constant. -#}
{% macro rules_changed() -%}
    {%- set query -%}
        select 1 from {{ this }} where rules <> {{ deal_rules() }} limit 1
    {%- endset -%}
    {{ (execute and run_query(query).rows | length > 0) | string | lower }}
{%- endmacro %}
