{#-
    The loads and sweeps of the raw tables of which only new records are read, as builds notice them. The models
    after this one take in what is listed here since they were last built, so that all of a build tell of the
    same loads. A batch is stamped before it is committed, perhaps by another machine's clock, and a backfill may
    load beside a sync: the stamps of the hour before the newest one known are looked at again, one by one, and
    those that are not listed are new. A full refresh leaves the list alone: who was not built since needs it.
-#}
{{ config(materialized='published_incremental', incremental_strategy='append', full_refresh=false) }}
{%- set read_by_load = [
    ('deals', 'load'),
    ('deals', 'sweep'),
    ('deal_changelog', 'load'),
    ('deal_changelog_sync', 'load'),
    ('activities', 'load'),
    ('activities', 'sweep'),
] %}
with stamps as (
    {% for stream, kind in read_by_load -%}
    {#- The raw table itself is asked, so that its index is used; what stands on it is derived from ref(). -#}
    {%- do ref('stg_pipedrive__' ~ stream) -%}
    select
        '{{ stream }}' as stream,
        '{{ kind }}' as kind,
        stamped.at as stamped_at
    from ({{ distinct_stamps(stream, kind) }}) as stamped
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    stamps.stream,
    stamps.kind,
    stamps.stamped_at,
    now() as noticed_at
from stamps
{% if is_incremental() -%}
where
    not exists (
        select from {{ this }} as known
        where known.stream = stamps.stream and known.kind = stamps.kind and known.stamped_at = stamps.stamped_at
    )
{%- endif %}
