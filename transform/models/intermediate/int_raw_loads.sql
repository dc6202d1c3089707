{#-
    The loads and sweeps of those raw tables of which only new records are read, as builds first see them. Later
    models process the loads that are new here since their own last build, so that all models of a build include the
    same loads. A batch gets its stamp before the commit, perhaps from another machine's clock, and a restored
    backup may add rows with any stamp. So a load is detected by a change in a stamp's number of rows, not by its
    time. A full refresh does not change this model, because models that were not built since then need it.
-#}
{{ config(unique_key=['stream', 'kind', 'stamped_at']) }}
{%- set read_by_load = [
    ('deals', 'load'),
    ('deals', 'sweep'),
    ('deal_changelog', 'load'),
    ('deal_changelog_sync', 'load'),
    ('activities', 'load'),
    ('activities', 'sweep'),
] %}
{%- set noticed = load_relation(this) if execute -%}
{%- set is_counted = noticed and 'n_rows' in adapter.get_columns_in_relation(noticed) | map(attribute='name') %}
with stamps as (
    {% for stream, kind in read_by_load -%}
    {#- The raw table is read directly, so that its index is used; the dependency comes from ref(). -#}
    {%- do ref('stg_pipedrive__' ~ stream) -%}
    select
        '{{ stream }}' as stream,
        '{{ kind }}' as kind,
        stamped.stamped_at,
        stamped.n_rows
    from ({{ stamps_of(stream, kind) }}) as stamped
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

known as (
    {% if is_counted -%}
    select * from {{ this }}
    {%- else -%}
    select
        null::text as stream,
        null::text as kind,
        null::timestamptz as stamped_at,
        null::bigint as n_rows,
        null::timestamptz as noticed_at,
        null::timestamptz as lost_at
    where false
    {%- endif %}
)

select
    coalesce(stamps.stream, known.stream) as stream,
    coalesce(stamps.kind, known.kind) as kind,
    coalesce(stamps.stamped_at, known.stamped_at) as stamped_at,
    coalesce(stamps.n_rows, 0) as n_rows,
    case when coalesce(stamps.n_rows, 0) > coalesce(known.n_rows, 0) then now() else known.noticed_at end as noticed_at,
    case when coalesce(stamps.n_rows, 0) < known.n_rows then now() else known.lost_at end as lost_at
from stamps
full join known
    on
        stamps.stream = known.stream
        and stamps.kind = known.kind
        and stamps.stamped_at = known.stamped_at
