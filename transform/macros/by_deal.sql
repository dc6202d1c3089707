{#-
    Tables kept deal by deal. `int_deal_versions` gives every deal that changed a new version; each model with
    incremental_strategy='by_deal' notes the newest version it was built from (int_build_marks), and rebuilds
    all rows of the deals that have a newer one. A run that broke off in the middle is thereby made up for,
    model by model. Such a model may only depend on the deal's own rows, and on what deal_rules() names.
-#}

{#- In a model: `where deal_id in (...)`, or nothing when everything is built. Needs `-- depends_on` of both. -#}
{% macro where_deal_changed(deal_id='deal_id', first='where') -%}
    {%- if this and is_incremental() -%}
    {{ first }} {{ deal_id }} in ({{ changed_deals() }})
    {%- endif -%}
{%- endmacro %}

{#- A constant, not a subquery: PostgreSQL then knows that these are few, and uses the indexes. -#}
{% macro changed_deals() -%}
    {%- set query -%}
        select coalesce(max(built_through), '-infinity')::text
        from {{ ref('int_build_marks') }}
        where model = '{{ build_mark() }}'
    {%- endset -%}
    select versions.deal_id
    from {{ ref('int_deal_versions') }} as versions
    where versions.version > '{{ run_query(query).rows[0][0] if execute }}'::timestamptz
{%- endmacro %}

{#- For models with generated columns, the columns are part of what was built. -#}
{% macro build_mark() -%}
    {{ this.identifier }}
    {%- if config.get('generated_columns') -%}
        :{{ local_md5(published_custom_fields('deal') ~ published_stage_columns()) }}
    {%- endif -%}
{%- endmacro %}

{#- Part of the model's own transaction, so mark and rows never disagree. -#}
{% macro mark_built() -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
    delete from {{ ref('int_build_marks') }} where model = '{{ build_mark() }}';
    insert into {{ ref('int_build_marks') }} (model, built_through)
    select '{{ build_mark() }}', max(version) from {{ ref('int_deal_versions') }}
    {%- endif -%}
{%- endmacro %}

{#- Unlike delete+insert by key, this also takes away the rows of a deal that has none any more. -#}
{% macro get_incremental_by_deal_sql(arg_dict) -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    delete from {{ arg_dict['target_relation'] }} where deal_id in ({{ changed_deals() }});
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
            '|', '1', {{ reporting_timezone() }}, '{{ var('clock_tolerance_seconds') }}',
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
