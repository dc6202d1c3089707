{#-
    Which deals changed since the last build, so that the models after this one rebuild only those. A deal
    has a new version when its row, or the row that says how far its changelog was read, is another one than
    when it was last versioned; when new rows of its changelog came; and when the rules changed that all
    deals are built by.
-#}
-- depends_on: {{ ref('int_build_marks') }}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='deal_id',
    post_hook="{{ mark_looked_at() }}",
    indexes=[{'columns': ['deal_id'], 'unique': true}, {'columns': ['version']}]
) }}
with deals as (
    select
        deal_id,
        deleted_at,
        _loaded_at
    from {{ ref('stg_pipedrive__deals') }}
),

syncs as (
    select
        deal_id,
        _loaded_at
    from {{ ref('stg_pipedrive__deal_changelog_sync') }}
),

changelogs as (
    select
        deal_id,
        max(_loaded_at) as _loaded_at
    from {{ ref('stg_pipedrive__deal_changelog') }}
    {% if is_incremental() -%}
    where _loaded_at > {{ looked_at_until() }}
    {%- endif %}
    group by deal_id
),

rules as (
    select {{ deal_rules() }} as fingerprint
)

{% if is_incremental() -%}
, candidates as (
    -- looked up by index, so that few deals are compared; all of them are when the rules changed
    select deal_id from {{ ref('stg_pipedrive__deals') }}
    where
        {{ rules_changed() }}
        or _loaded_at > {{ looked_at_until() }}
        or _swept_at > {{ looked_at_until() }}
    union
    select deal_id from {{ ref('stg_pipedrive__deal_changelog_sync') }}
    where _loaded_at > {{ looked_at_until() }}
    union
    select deal_id from changelogs
)

{% endif -%}
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
inner join candidates on deals.deal_id = candidates.deal_id
left join {{ this }} as known on deals.deal_id = known.deal_id
where
    known.deal_id is null
    or known.rules <> rules.fingerprint
    or known.deal_loaded_at is distinct from deals._loaded_at
    or known.deal_deleted_at is distinct from deals.deleted_at
    or known.sync_loaded_at is distinct from syncs._loaded_at
    or changelogs._loaded_at > coalesce(known.changelog_loaded_at, '-infinity')
{%- endif %}
