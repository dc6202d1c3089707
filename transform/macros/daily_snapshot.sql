{#-
    fct_deal_daily_snapshot, and what is counted day by day from it. Of a deal that changed, most days stay as
    they were. int_touched_days notes, in the same transaction, on which days what is counted became another;
    models with incremental_strategy='by_day' count only those again.
-#}
{% macro get_incremental_by_deal_and_day_sql(arg_dict) -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set counted = config.get('counted_columns') -%}
    with stored as (
        select * from {{ arg_dict['target_relation'] }}
        where {{ is_changed_deal() }}
    ),
    others as (
        select date_day
        from stored
        full join {{ arg_dict['temp_relation'] }} as built using (deal_id, date_day)
        where (stored.{{ counted | join(', stored.') }}) is distinct from (built.{{ counted | join(', built.') }})
    )
    {{ touch_days('others') }};
    delete from {{ arg_dict['target_relation'] }} where {{ is_changed_deal() }};
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}

{#- Days that have left the recent past, unless they end a month; of a table built anew, every day is another. -#}
{% macro settle_snapshot_days() -%}
    {% if is_incremental() -%}
    with gone as (
        delete from {{ this }}
        where
            date_day < (
                select {{ local_date('as_of') }} - {{ var('daily_snapshot_days') }}
                from {{ ref('int_warehouse_clock') }}
            )
            and date_day <> (date_trunc('month', date_day::timestamp) + interval '1 month' - interval '1 day')::date
        returning date_day
    )
    {{ touch_days('gone') }}
    {%- else -%}
    with anew as (
        select distinct date_day from {{ this }}
        union
        select date_day from {{ ref('int_touched_days') }}
    )
    {{ touch_days('anew') }}
    {%- endif %}
{%- endmacro %}

{% macro touch_days(rows) -%}
    insert into {{ ref('int_touched_days') }} (date_day, touched_at)
    select distinct date_day, now() from {{ rows }}
    on conflict (date_day) do update set touched_at = excluded.touched_at
{%- endmacro %}

{#- In a by_day model: `where date_day in (...)`, or nothing when everything is built. -#}
{% macro where_day_touched(date_day, first='where') -%}
    {%- if this and is_incremental() -%}
        {%- set built = built_through() -%}
        {%- if built != '-infinity' %}
    {{ first }} {{ date_day }} in (
        select touched.date_day from {{ ref('int_touched_days') }} as touched
        where touched.touched_at > '{{ built }}'::timestamptz
    )
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Unlike delete+insert by key, this also takes away a day that has no rows any more. -#}
{% macro get_incremental_by_day_sql(arg_dict) -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    delete from {{ arg_dict['target_relation'] }} {{ where_day_touched('date_day') }};
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}

{#- Part of the model's own transaction. -#}
{% macro mark_days_built() -%}
    {{ set_build_mark("select max(touched_at) from " ~ ref('int_touched_days')) }}
{%- endmacro %}
