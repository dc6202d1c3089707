{#-
    States of a deal that earlier syncs saw after its changelog ends and before its current row. A copy contains the
    exact time of its last stage change; the time of a reopening is only known to be before the copy. The current
    copy is not included, because it is the deal's row. Without snapshots (`dbt run` alone creates none) this model
    is empty.
-#}
-- depends_on: {{ ref('snap_deals') }}
{{ config(
    materialized='incremental_by_deal',
    indexes=[{'columns': ['deal_id']}]
) }}
{%- set tolerance = "interval '" ~ var('clock_tolerance_seconds') ~ " seconds'" %}
{%- set snapshots = load_relation(ref('snap_deals')) if execute else ref('snap_deals') %}
with copies as (
    {% if snapshots -%}
    select
        deal_id,
        stage_id,
        pipeline_id,
        status,
        is_deleted,
        deleted_at,
        stage_change_time,
        closed_at,
        observed_at,
        _loaded_at
    from {{ snapshots }}
    {{ where_deal_changed() }}
    {%- else -%}
    select
        null::bigint as deal_id,
        null::bigint as stage_id,
        null::bigint as pipeline_id,
        null::text as status,
        null::boolean as is_deleted,
        null::timestamptz as deleted_at,
        null::timestamptz as stage_change_time,
        null::timestamptz as closed_at,
        null::timestamptz as observed_at,
        null::timestamptz as _loaded_at
    where false
    {%- endif %}
),

deals as (
    select
        deal_id,
        coalesce(add_time, stage_change_time, won_time, lost_time, update_time, _extracted_at) as started_at,
        is_deleted,
        _loaded_at
    from {{ ref('stg_pipedrive__deals') }}
    {{ where_deal_changed() }}
),

changes as (
    select
        deal_id,
        max(changed_at) as last_change_at
    from {{ ref('int_deal_state_changes') }}
    {{ where_deal_changed() }}
    group by deal_id
),

-- For a deleted deal, the last copies may already be deleted: they are its end, not a state.
seen as (
    select
        copies.deal_id,
        copies.stage_id,
        copies.pipeline_id,
        case when copies.is_deleted then 'deleted' else copies.status end as status,
        copies.stage_change_time,
        case when copies.is_deleted then copies.deleted_at else copies.closed_at end as status_time,
        copies.observed_at,
        deals.started_at,
        greatest(deals.started_at, {{ changelog_watermark('syncs', 'changes.last_change_at') }}) as known_until,
        row_number() over in_time as copy_nr,
        coalesce(bool_or(not copies.is_deleted) over later, false) as is_seen_alive_later,
        deals.is_deleted as is_deal_deleted,
        lag(case when copies.is_deleted then 'deleted' else copies.status end) over in_time as previous_status
    from copies
    inner join deals on copies.deal_id = deals.deal_id and copies._loaded_at < deals._loaded_at
    left join {{ ref('stg_pipedrive__deal_changelog_sync') }} as syncs on copies.deal_id = syncs.deal_id
    left join changes on copies.deal_id = changes.deal_id
    window
        in_time as (partition by copies.deal_id order by copies._loaded_at),
        later as (in_time rows between 1 following and unbounded following)
),

moves as (
    select
        seen.deal_id,
        fields.field_key,
        fields.value,
        greatest(seen.stage_change_time, seen.started_at) as occurred_at,
        false as is_inferred,
        seen.copy_nr
    from seen
    cross join
        lateral (
            values
            ('stage_id', seen.stage_id::text),
            ('pipeline_id', seen.pipeline_id::text)
        ) as fields (field_key, value)
    where
        fields.value is not null
        and (
            seen.stage_change_time > seen.known_until + {{ tolerance }}
            -- A copy from before the first change shows the initial state.
            or (
                seen.copy_nr = 1 and seen.known_until = seen.started_at
                and coalesce(seen.stage_change_time, seen.started_at) <= seen.started_at + {{ tolerance }}
            )
        )
),

turns as (
    select
        deal_id,
        'status' as field_key,
        status as value,
        case
            when status <> 'open' and status_time > known_until then status_time
            else observed_at
        end as occurred_at,
        not coalesce(status <> 'open' and status_time > known_until, false) as is_inferred,
        copy_nr
    from seen
    where
        status in ('open', 'won', 'lost', 'deleted')
        and status is distinct from previous_status
        and observed_at > known_until + {{ tolerance }}
        and not (status = 'deleted' and is_deal_deleted and not is_seen_alive_later)
)

select distinct on (deal_id, field_key, occurred_at)
    deal_id,
    field_key,
    value,
    occurred_at,
    is_inferred,
    copy_nr
from (
    select * from moves
    union all
    select * from turns
) as changes
order by deal_id asc, field_key asc, occurred_at asc, copy_nr desc
