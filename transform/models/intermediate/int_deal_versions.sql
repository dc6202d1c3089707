{#-
    Which deals changed since the last build, so that later models rebuild only those. A deal gets a new version
    when its row, or the row that records how far its changelog was read, was changed or deleted since the last
    version; and when changelog rows were added or removed. A deal whose row is deleted keeps a version: from it,
    later models learn that they must delete its rows. A full refresh gives every deal a new version.
-#}
{{ config(
    materialized='published_incremental',
    incremental_strategy='delete+insert',
    unique_key='deal_id',
    full_refresh=false,
    post_hook="{{ mark_loads_taken_in() }}",
    indexes=[{'columns': ['deal_id'], 'unique': true}, {'columns': ['version']}]
) }}
-- depends_on: {{ ref('int_build_watermarks') }}
-- depends_on: {{ ref('int_raw_loads') }}
{#- Rows of an earlier release have no counts and are not compared. -#}
{%- set columns = adapter.get_columns_in_relation(this) if execute and is_incremental() else [] -%}
{%- set has_counts = 'is_gone' in columns | map(attribute='name') -%}
{%- set compares_all = not has_counts or watermark() == '-infinity' or is_full_refresh() -%}
{%- set where_candidate = '' -%}
{%- set is_new_change = 'false' -%}
{%- if not compares_all -%}
{#- Stored rows are compared for the deals of new rows. -#}
{%- set is_new_change = is_new_record('deal_changelog', ['load']) -%}
{%- set candidates -%}
select deal_id from {{ ref('stg_pipedrive__deals') }}
where {{ is_new_record('deals') }}
union
select deal_id from {{ ref('stg_pipedrive__deal_changelog_sync') }}
where {{ is_new_record('deal_changelog_sync', ['load']) }}
union
select deal_id from {{ ref('stg_pipedrive__deal_changelog') }}
where {{ is_new_change }} and deal_id is not null
{#-
    Rows lost this stamp, because they got a newer one or were deleted; the same number may have been added
    unnoticed.
-#}
{%- if has_lost_rows('deals') %}
union
select coalesce(known.deal_id, deals.deal_id) from (select deal_id from {{ this }} where not is_gone) as known
full join {{ ref('stg_pipedrive__deals') }} as deals on known.deal_id = deals.deal_id
where known.deal_id is null or deals.deal_id is null
{%- endif %}
{%- if has_lost_rows('deals', 'sweep') %}
union
select known.deal_id from {{ this }} as known
where known.deal_deleted_at is not null
{%- endif %}
{%- if has_lost_rows('deal_changelog_sync') %}
union
select coalesce(known.deal_id, syncs.deal_id)
from (select deal_id from {{ this }} where sync_loaded_at is not null) as known
full join {{ ref('stg_pipedrive__deal_changelog_sync') }} as syncs on known.deal_id = syncs.deal_id
where known.deal_id is null or syncs.deal_id is null
{%- endif %}
{%- if has_lost_rows('deal_changelog') %}
union
select known.deal_id from {{ this }} as known
left join (
    select
        deal_id,
        count(*) as n
    from {{ ref('stg_pipedrive__deal_changelog') }}
    group by deal_id
) as changelogs on known.deal_id = changelogs.deal_id
where known.n_changes <> coalesce(changelogs.n, 0)
{%- endif %}
{%- endset -%}
{%- set where_candidate = 'where ' ~ is_one_of('deal_id', candidates) -%}
{%- endif %}
with deals as (
    select
        deal_id,
        deleted_at,
        _loaded_at
    from {{ ref('stg_pipedrive__deals') }}
    {{ where_candidate }}
),

syncs as (
    select
        deal_id,
        _loaded_at
    from {{ ref('stg_pipedrive__deal_changelog_sync') }}
    {{ where_candidate }}
),

changelogs as (
    select
        deal_id,
        count(*) as n_changes,
        max(_loaded_at) as _loaded_at,
        bool_or({{ is_new_change }}) as is_new
    from {{ ref('stg_pipedrive__deal_changelog') }}
    {{ where_candidate }}
    group by deal_id
),

known as (
    {% if has_counts -%}
    select * from {{ this }}
    {{ where_candidate }}
    {%- else -%}
    select
        null::bigint as deal_id,
        null::timestamptz as deal_loaded_at,
        null::timestamptz as deal_deleted_at,
        null::timestamptz as sync_loaded_at,
        null::timestamptz as changelog_loaded_at,
        null::bigint as n_changes,
        null::boolean as is_gone
    where false
    {%- endif %}
)

select
    coalesce(deals.deal_id, known.deal_id) as deal_id,
    deals._loaded_at as deal_loaded_at,
    deals.deleted_at as deal_deleted_at,
    syncs._loaded_at as sync_loaded_at,
    changelogs._loaded_at as changelog_loaded_at,
    coalesce(changelogs.n_changes, 0) as n_changes,
    deals.deal_id is null as is_gone,
    now() as version
from deals
full join known on deals.deal_id = known.deal_id
left join syncs on deals.deal_id = syncs.deal_id
left join changelogs on deals.deal_id = changelogs.deal_id
where
    known.deal_id is null
    or {{ is_full_refresh() | string | lower }}
    or known.is_gone is distinct from (deals.deal_id is null)
    or known.deal_loaded_at is distinct from deals._loaded_at
    or known.deal_deleted_at is distinct from deals.deleted_at
    or known.sync_loaded_at is distinct from syncs._loaded_at
    or known.changelog_loaded_at is distinct from changelogs._loaded_at
    or known.n_changes is distinct from coalesce(changelogs.n_changes, 0)
    -- written by a loader without stamps
    or (deals.deal_id is not null and deals._loaded_at is null)
    or (syncs.deal_id is not null and syncs._loaded_at is null)
    or changelogs.is_new
