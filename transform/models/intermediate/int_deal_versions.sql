{#-
    Which deals changed since the last build, so that the models after this one rebuild only those. A deal
    has a new version when its row, or the row that says how far its changelog was read, is another one than
    when it was last versioned; when new rows of its changelog came; and when the rules changed that all
    deals are built by.
-#}
-- depends_on: {{ ref('int_build_marks') }}
-- depends_on: {{ ref('int_raw_loads') }}
{{ config(
    materialized='published_incremental',
    incremental_strategy='delete+insert',
    unique_key='deal_id',
    post_hook="{{ mark_loads_taken_in() }}",
    indexes=[{'columns': ['deal_id'], 'unique': true}, {'columns': ['version']}]
) }}
{#- Of the deals that new rows are about, what is stored is compared; of all deals when the rules changed. -#}
{%- set where_candidate = '' -%}
{%- set is_new_change = is_new_record('deal_changelog', ['load']) if is_incremental() -%}
{%- if is_incremental() and built_through() != '-infinity' and rules_changed() == 'false' %}
{%- set candidates -%}
select deal_id from {{ ref('stg_pipedrive__deals') }}
where {{ is_new_record('deals') }}
union
select deal_id from {{ ref('stg_pipedrive__deal_changelog_sync') }}
where {{ is_new_record('deal_changelog_sync', ['load']) }}
union
select deal_id from {{ ref('stg_pipedrive__deal_changelog') }}
where {{ is_new_change }} and deal_id is not null
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
        max(_loaded_at) as _loaded_at
    from {{ ref('stg_pipedrive__deal_changelog') }}
    {% if is_incremental() -%}
    where {{ is_new_change }}
    {%- endif %}
    group by deal_id
),

{% if is_incremental() -%}
known as (
    select * from {{ this }}
    {{ where_candidate }}
),

{% endif -%}
rules as (
    select {{ deal_rules() }} as fingerprint
)

select
    deals.deal_id,
    deals._loaded_at as deal_loaded_at,
    deals.deleted_at as deal_deleted_at,
    syncs._loaded_at as sync_loaded_at,
    {% if is_incremental() -%}
    greatest(known.changelog_loaded_at, changelogs._loaded_at) as changelog_loaded_at,
    {%- else -%}
    changelogs._loaded_at as changelog_loaded_at,
    {%- endif %}
    rules.fingerprint as rules,
    now() as version
from deals
left join syncs on deals.deal_id = syncs.deal_id
left join changelogs on deals.deal_id = changelogs.deal_id
cross join rules
{% if is_incremental() -%}
left join known on deals.deal_id = known.deal_id
where
    known.deal_id is null
    or known.rules <> rules.fingerprint
    or known.deal_loaded_at is distinct from deals._loaded_at
    or known.deal_deleted_at is distinct from deals.deleted_at
    or known.sync_loaded_at is distinct from syncs._loaded_at
    -- written by a loader without stamps
    or deals._loaded_at is null
    or (syncs.deal_id is not null and syncs._loaded_at is null)
    or changelogs.deal_id is not null
{%- endif %}
