{#-
    The known part of each deal's history and its quality: start and end, the time up to which the changelog was
    read, the initial state, and the last state known from the changelog or from earlier syncs.
-#}
{{ config(
    materialized='incremental_by_deal',
    indexes=[{'columns': ['deal_id'], 'unique': true}]
) }}
{%- set tolerance = "interval '" ~ var('clock_tolerance_seconds') ~ " seconds'" %}
with deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
    {{ where_deal_changed() }}
),

syncs as (
    select * from {{ ref('stg_pipedrive__deal_changelog_sync') }}
    {{ where_deal_changed() }}
),

changes as (
    select
        deal_id,
        count(*) filter (where field_key = 'stage_id') as n_stage_changes,
        count(*) filter (where is_broken_link) as n_broken_links,
        max(old_value) filter (where field_key = 'stage_id' and change_nr = 1)::bigint as first_stage_id,
        max(old_value) filter (where field_key = 'status' and change_nr = 1) as first_status,
        max(old_value) filter (where field_key = 'pipeline_id' and change_nr = 1)::bigint as first_pipeline_id,
        max(effective_at) filter (where field_key = 'stage_id') as last_stage_change_at,
        max(effective_at) filter (where field_key = 'status') as last_status_change_at,
        max(changed_at) as last_change_at
    from {{ ref('int_deal_state_changes') }}
    {{ where_deal_changed() }}
    group by deal_id
),

last_changes as (
    select
        deal_id,
        max(new_value) filter (where field_key = 'stage_id')::bigint as last_stage_id,
        max(new_value) filter (where field_key = 'status') as last_status
    from (
        select distinct on (deal_id, field_key)
            deal_id,
            field_key,
            new_value
        from {{ ref('int_deal_state_changes') }}
        {{ where_deal_changed() }}
        order by deal_id asc, field_key asc, change_nr desc
    ) as latest
    group by deal_id
),

-- Earlier syncs saw states after the changelog's end.
observed as (
    select
        deal_id,
        max(value) filter (where field_key = 'stage_id')::bigint as last_stage_id,
        max(value) filter (where field_key = 'status') as last_status,
        max(occurred_at) filter (where field_key = 'stage_id') as last_stage_change_at,
        max(occurred_at) filter (where field_key = 'status') as last_status_change_at
    from (
        select distinct on (deal_id, field_key)
            deal_id,
            field_key,
            value,
            occurred_at
        from {{ ref('int_deal_observed_changes') }}
        {{ where_deal_changed() }}
        order by deal_id asc, field_key asc, occurred_at desc, copy_nr desc
    ) as latest
    group by deal_id
),

joined as (
    select
        deals.deal_id,
        deals.stage_id,
        deals.pipeline_id,
        deals.status,
        deals.owner_id,
        deals.is_deleted,
        deals.stage_change_time,
        coalesce(
            deals.add_time,
            deals.stage_change_time,
            deals.won_time,
            deals.lost_time,
            deals.update_time,
            deals._extracted_at
        ) as started_at,
        coalesce(
            case deals.status when 'won' then deals.won_time when 'lost' then deals.lost_time end, deals.close_time
        ) as closed_at,
        coalesce(deals.update_time, deals._extracted_at) as row_read_at,
        deals.deleted_at as row_deleted_at,
        {{ changelog_watermark('syncs', 'changes.last_change_at') }} as watermark,
        coalesce(not syncs.is_complete and syncs.n_pages > 0, false) as is_changelog_partial,
        coalesce(syncs.is_complete, false) as is_changelog_complete,
        coalesce(changes.n_stage_changes, 0) as n_stage_changes,
        coalesce(changes.n_broken_links, 0) as n_broken_links,
        changes.deal_id is not null as has_changes,
        changes.first_stage_id,
        changes.first_status,
        changes.first_pipeline_id,
        observed.deal_id is not null as is_observed,
        greatest(changes.last_stage_change_at, observed.last_stage_change_at) as last_stage_change_at,
        greatest(changes.last_status_change_at, observed.last_status_change_at) as last_status_change_at,
        coalesce(observed.last_stage_id, last_changes.last_stage_id) as last_stage_id,
        coalesce(observed.last_status, last_changes.last_status) as last_status,
        greatest(deals._loaded_at, syncs._loaded_at) as _loaded_at
    from deals
    left join syncs on deals.deal_id = syncs.deal_id
    left join changes on deals.deal_id = changes.deal_id
    left join last_changes on deals.deal_id = last_changes.deal_id
    left join observed on deals.deal_id = observed.deal_id
),

-- The initial state. No changelog row contains it: it is the old value of the first change, or the current state of a
-- deal without changes. Otherwise it is unknown and stays null.
seeded as (
    select
        *,
        case
            when n_stage_changes > 0 and not is_changelog_partial then first_stage_id
            when n_stage_changes > 0 then null
            when stage_change_time is null or stage_change_time <= started_at + {{ tolerance }} then stage_id
            when watermark is not null and stage_change_time <= watermark + {{ tolerance }} then stage_id
        end as seed_stage_id,
        coalesce(
            first_status,
            case when status in ('won', 'lost') and coalesce(closed_at, started_at) <= started_at then status end,
            'open'
        ) as seed_status,
        coalesce(first_pipeline_id, pipeline_id) as seed_pipeline_id
    from joined
),

-- If the changelog ends in another state than the deal's row, the row's state is appended, with the row's own
-- timestamps where they are reliable.
finished as (
    select
        *,
        stage_id is not null and coalesce(coalesce(last_stage_id, seed_stage_id) <> stage_id, true) as stage_from_row,
        coalesce(status in ('open', 'won', 'lost') and coalesce(last_status, seed_status) <> status, false)
            as status_from_row,
        case
            when stage_change_time > coalesce(last_stage_change_at, started_at) then stage_change_time
            else greatest(row_read_at, last_stage_change_at, started_at)
        end as row_stage_at,
        case
            when status in ('won', 'lost') and closed_at > coalesce(last_status_change_at, started_at) then closed_at
            else greatest(row_read_at, last_status_change_at, started_at)
        end as row_status_at,
        coalesce(closed_at > coalesce(last_status_change_at, started_at), false)
        and status in ('won', 'lost') as is_row_status_exact,
        coalesce(stage_change_time > coalesce(last_stage_change_at, started_at), false) as is_row_stage_exact,
        case
            when not is_deleted then null
            when last_status = 'deleted' then last_status_change_at
            else greatest(coalesce(row_deleted_at, row_read_at), started_at)
        end as ended_at,
        is_deleted and coalesce(last_status, '') <> 'deleted' as is_end_estimated
    from seeded
)

select
    deal_id,
    started_at,
    ended_at,
    is_end_estimated,
    watermark,
    seed_stage_id,
    seed_status,
    seed_pipeline_id,
    stage_id as row_stage_id,
    status as row_status,
    pipeline_id as row_pipeline_id,
    owner_id as row_owner_id,
    case when not is_deleted and status in ('open', 'won', 'lost') then status end as counted_as,
    stage_from_row,
    status_from_row,
    row_stage_at,
    row_status_at,
    is_row_stage_exact,
    is_row_status_exact,
    case
        when n_broken_links > 0 then 'broken_chain'
        when stage_from_row and row_stage_at <= watermark + {{ tolerance }} then 'broken_chain'
        when status_from_row and row_status_at <= watermark + {{ tolerance }} then 'broken_chain'
        when is_changelog_complete and is_observed then 'exact_then_snapshot'
        when is_changelog_complete and not (stage_from_row or status_from_row) then 'exact'
        when is_changelog_complete then 'exact_then_current'
        when has_changes then 'partial'
        when is_observed then 'snapshot_only'
        else 'current_only'
    end as history_quality,
    _loaded_at
from finished
