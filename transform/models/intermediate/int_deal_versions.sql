{#-
    Which deals changed since the last build, so that the models after this one rebuild only those. A deal
    has a new version when its row, or the row that says how far its changelog was read, is another one than
    when it was last versioned; when new rows of its changelog came; and when the rules changed that all
    deals are built by.
-#}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='deal_id',
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

newest_change as (
    select max(_loaded_at) as _loaded_at from {{ ref('stg_pipedrive__deal_changelog') }}
),

rules as (
    select {{ deal_rules() }} as fingerprint
)

{% if is_incremental() -%}
, changed_logs as (
    select distinct deal_id
    from {{ ref('stg_pipedrive__deal_changelog') }}
    where _loaded_at > {{ newest_known('changelog_loaded_at') }}
),

-- Looked up by index, so that few deals are compared; all of them are when the rules changed.
candidates as (
    select deal_id from {{ ref('stg_pipedrive__deals') }}
    where
        {{ rules_changed() }}
        or _loaded_at > {{ newest_known('deal_loaded_at') }}
        or _swept_at > {{ newest_known('version') }}
    union
    select deal_id from {{ ref('stg_pipedrive__deal_changelog_sync') }}
    where _loaded_at > {{ newest_known('sync_loaded_at') }}
    union
    select deal_id from changed_logs
)

{% endif -%}
select
    deals.deal_id,
    deals._loaded_at as deal_loaded_at,
    deals.deleted_at as deal_deleted_at,
    syncs._loaded_at as sync_loaded_at,
    newest_change._loaded_at as changelog_loaded_at,
    rules.fingerprint as rules,
    now() as version
from deals
left join syncs on deals.deal_id = syncs.deal_id
cross join newest_change
cross join rules
{% if is_incremental() -%}
inner join candidates on deals.deal_id = candidates.deal_id
left join {{ this }} as known on deals.deal_id = known.deal_id
left join changed_logs on deals.deal_id = changed_logs.deal_id
where
    known.deal_id is null
    or changed_logs.deal_id is not null
    or known.rules <> rules.fingerprint
    or known.deal_loaded_at is distinct from deals._loaded_at
    or known.deal_deleted_at is distinct from deals.deleted_at
    or known.sync_loaded_at is distinct from syncs._loaded_at
{%- endif %}
