{#-
    Which records are new to a table that is kept: those of the loads, and sweeps, that int_raw_loads has noticed since
    the table was last built. A batch is one transaction and has one stamp, so its rows are looked up by index
    instead of comparing all rows, and none is read twice.
-#}

{#-
    For int_raw_loads: the stamps of a raw table from an hour before the newest one known; `at`. By the index from each
    to the next, over all the rows between; for that it asks the table itself, through a view PostgreSQL does not. A
    table that is not ours to index is read.
-#}
{% macro distinct_stamps(stream, kind) -%}
    {%- set table = raw_relation(stream) if execute else none -%}
    {%- set column = {'load': '_sdc_batched_at', 'sweep': '_sdc_deleted_at'}[kind] -%}
    {%- set looked_up -%}
        select
            exists (
                select from pg_catalog.pg_attribute
                where attrelid = to_regclass('{{ table }}') and attname = '{{ column }}' and not attisdropped
            ),
            to_regclass('{{ raw_index(table, kind) if execute }}') is not null
    {%- endset -%}
    {%- set is_there, is_indexed = run_query(looked_up).rows[0].values() if execute else (false, false) -%}
    {%- set newest -%}
        {%- if is_incremental() -%}
        (
            select max(known.stamped_at) from {{ this }} as known
            where known.stream = '{{ stream }}' and known.kind = '{{ kind }}'
        )
        {%- else -%}
        (select max({{ column }}) from {{ table }})
        {%- endif -%}
    {%- endset -%}
    {#- Not the newest by a clock that is ahead: of the other loaders, that would leave out what they bring next. -#}
    {%- set from_then_on = column ~ " >= least(coalesce(" ~ newest ~ ", '-infinity'), now()) - interval '1 hour'" -%}
    {%- if not is_there -%}
        select null::timestamptz as at
        where false
    {%- elif is_indexed -%}
        with recursive steps (at) as (
            select (select min({{ column }}) from {{ table }} where {{ from_then_on }}) as at
            union all
            select (select min({{ column }}) from {{ table }} where {{ column }} > steps.at) as at
            from steps
            where steps.at is not null
        )
        select at from steps
        where at is not null
    {%- else -%}
        select distinct {{ column }} as at from {{ table }}
        where {{ from_then_on }}
    {%- endif -%}
{%- endmacro %}

{#-
    Whether a record of a stream came, or was swept, since this model was built. The stamps are named one by one, see
    is_newer_deal(): of a subquery PostgreSQL expects a share of all rows, and reads them all.
-#}
{% macro is_new_record(stream, kinds=['load', 'sweep']) -%}
    {%- set conditions = [] -%}
    {%- for kind in kinds -%}
        {%- set column = {'load': '_loaded_at', 'sweep': '_swept_at'}[kind] -%}
        {%- set query -%}
            select stamped_at::text from {{ ref('int_raw_loads') }}
            where stream = '{{ stream }}' and kind = '{{ kind }}' and noticed_at > '{{ built_through() }}'
        {%- endset -%}
        {%- set stamps = run_query(query).columns[0].values() if execute else [] -%}
        {%- do conditions.append(column ~ " = any('{" ~ stamps | join(',') ~ "}'::timestamptz[])") -%}
        {%- if kind == 'load' -%}
            {#- Another loader may write no stamp; nothing tells when such a row came. -#}
            {%- do conditions.append(column ~ ' is null') -%}
        {%- endif -%}
    {%- endfor -%}
    ({{ conditions | join(' or ') }})
{%- endmacro %}

{#- `where` the record is new; or nothing when everything is built. -#}
{% macro where_new_record(stream) -%}
    {%- if this and is_incremental() and built_through() != '-infinity' -%}
    where {{ is_new_record(stream) }}
    {%- endif -%}
{%- endmacro %}

{#- After a build of such a table, in its transaction. -#}
{% macro mark_loads_taken_in() -%}
    {{ set_build_mark('select max(noticed_at) from ' ~ ref('int_raw_loads')) }}
{%- endmacro %}
