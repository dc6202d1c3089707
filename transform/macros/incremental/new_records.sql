{#-
    Finds the records that are new for an incremental table: those of batches and sweeps that `int_raw_loads` has
    detected since the table's last build. A batch is one transaction and has one stamp, so its rows are found by
    index instead of comparing all rows.
-#}

{#- Tables built incrementally by record: config `stream`, and `unique_key`, one column. See README.md. -#}
{% materialization incremental_by_record, adapter='postgres' %}
    {{ return(build_incrementally(
        sql,
        followed=[raw_relation(config.get('stream'))],
        replaced=[is_vanished_record(config.get('stream'), config.get('unique_key'))],
        newest=newest_load()
    )) }}
{% endmaterialization %}

{#-
    For int_raw_loads: the stamps of a raw table and the number of rows of each; `stamped_at`, `n_rows`. A row
    without a stamp has no known load time: '-infinity'. PostgreSQL reads this from a special index.
-#}
{% macro stamps_of(stream, kind) -%}
    {%- set raw = load_relation(raw_relation(stream)) if execute -%}
    {%- set column = {'load': '_sdc_batched_at', 'sweep': '_sdc_deleted_at'}[kind] -%}
    {%- if raw and column in adapter.get_columns_in_relation(raw) | map(attribute='name') -%}
        select
            coalesce({{ column }}, '-infinity') as stamped_at,
            count(*) as n_rows
        from {{ raw }}
        {{ 'where ' ~ column ~ ' is not null' if kind == 'sweep' }}
        group by 1
    {%- else -%}
        select
            null::timestamptz as stamped_at,
            null::bigint as n_rows
        where false
    {%- endif -%}
{%- endmacro %}

{#-
    Whether a record of a stream was loaded, or swept, since this model was built. The stamps are listed as an
    array, see is_one_of(): for a subquery PostgreSQL expects a share of all rows, and scans them all.
-#}
{% macro is_new_record(stream, kinds=['load', 'sweep']) -%}
    {%- set conditions = [] -%}
    {%- for kind in kinds -%}
        {%- set column = {'load': '_loaded_at', 'sweep': '_swept_at'}[kind] -%}
        {%- set query -%}
            select stamped_at::text from {{ ref('int_raw_loads') }}
            where stream = '{{ stream }}' and kind = '{{ kind }}' and noticed_at > '{{ watermark() }}'
        {%- endset -%}
        {%- set stamps = remembered_query(query).columns[0].values() if execute else [] -%}
        {%- do conditions.append(column ~ " = any('{" ~ stamps | join(',') ~ "}'::timestamptz[])") -%}
        {%- if kind == 'load' -%}
            {#- Another loader may write no stamp; the load time of such a row is unknown. -#}
            {%- do conditions.append(column ~ ' is null') -%}
        {%- endif -%}
    {%- endfor -%}
    ({{ conditions | join(' or ') }})
{%- endmacro %}

{#-
    Whether a stamp of a stream has fewer rows than when this model was built: rows got a newer one, were deleted by
    hand, or are no longer swept.
-#}
{% macro has_lost_rows(stream, kind='load') -%}
    {%- set query -%}
        select 1 from {{ ref('int_raw_loads') }}
        where stream = '{{ stream }}' and kind = '{{ kind }}' and lost_at > '{{ watermark() }}'
        limit 1
    {%- endset -%}
    {{- return(execute and remembered_query(query).rows | length > 0) -}}
{%- endmacro %}

{#- `where` the record is new; or nothing in a full build. -#}
{% macro where_new_record(stream) -%}
    {%- do ref('int_raw_loads') -%}
    {%- do ref('int_build_watermarks') -%}
    {%- if this and is_incremental() -%}
        {%- set key = config.get('unique_key') -%}
        {%- set conditions = [is_new_record(stream)] -%}
        {%- if has_lost_rows(stream) -%}
            {#-
                The stamp may have lost as many rows as it gained, so records that are not in the table yet are
                searched.
            -#}
            {%- set unknown -%}
                select records.{{ key }} from {{ ref('stg_pipedrive__' ~ stream) }} as records
                where not exists (select from {{ this }} as stored where stored.{{ key }} = records.{{ key }})
            {%- endset -%}
            {%- do conditions.append(is_one_of(key, unknown)) -%}
        {%- endif -%}
        {%- if has_lost_rows(stream, 'sweep') -%}
            {%- do conditions.append(is_one_of(key, 'select ' ~ key ~ ' from ' ~ this ~ ' where is_deleted')) -%}
        {%- endif -%}
    {{ only_changes('where ' ~ conditions | join(' or ')) }}
    {%- endif -%}
{%- endmacro %}

{#- For an incremental table: whether the record is no longer in the raw table. -#}
{% macro is_vanished_record(stream, key) -%}
    {%- if is_incremental() and has_lost_rows(stream) -%}
        {#- As a query of its own, PostgreSQL compares the two with parallel workers; in a `delete` it does not. -#}
        {%- set vanished -%}
            select stored.{{ key }} from {{ this }} as stored
            where not exists (
                select from {{ ref('stg_pipedrive__' ~ stream) }} as records where records.{{ key }} = stored.{{ key }}
            )
        {%- endset -%}
        {{- is_one_of(key, vanished) -}}
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}

{% macro newest_load() -%}
    select max(greatest(noticed_at, lost_at)) from {{ ref('int_raw_loads') }}
{%- endmacro %}

{#- After a build of `int_deal_versions`, in its transaction. -#}
{% macro mark_loads_taken_in() -%}
    {{ set_watermark(newest_load()) }}
{%- endmacro %}
