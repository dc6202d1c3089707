{#-
    The loads and sweeps of the raw tables of which only new records are read, as builds notice them. The models
    after this one take in what is noticed here since they were last built, so that all of a build tell of the
    same loads. A batch is stamped before it is committed, perhaps by another machine's clock, and a backup may bring
    back rows of any stamp: what counts is that a stamp has more rows than before, or fewer, not its time. A full refresh
    leaves this alone: what was not built since needs it.
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
    {#- The raw table itself is asked, so that its index is used; what stands on it is derived from ref(). -#}
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
