{#- The states of a deal: events combined into one row per time, values carried forward, repetitions removed. -#}
{{ config(
    materialized='incremental_by_deal',
    indexes=[{'columns': ['deal_id']}]
) }}
with events as (
    select * from {{ ref('int_deal_state_events') }}
    {{ where_deal_changed() }}
),

moments as (
    select
        deal_id,
        occurred_at,
        max(value) filter (where field_key = 'stage_id')::bigint as stage_id,
        max(value) filter (where field_key = 'status') as status,
        max(value) filter (where field_key = 'pipeline_id')::bigint as pipeline_id,
        bool_or(field_key = 'stage_id') as tells_stage,
        bool_or(field_key = 'status') as tells_status,
        bool_or(field_key = 'pipeline_id') as tells_pipeline,
        min(source) filter (where field_key in ('stage_id', 'status')) as source,
        bool_or(is_inferred) filter (where field_key in ('stage_id', 'status')) as is_inferred,
        max(actor_user_id) filter (where field_key in ('stage_id', 'status')) as actor_user_id
    from events
    group by deal_id, occurred_at
),

-- PostgreSQL has no "ignore nulls": a running count numbers the rows for which a value holds.
stretches as (
    select
        *,
        count(*) filter (where tells_stage) over in_time as stage_nr,
        count(*) filter (where tells_status) over in_time as status_nr,
        count(*) filter (where tells_pipeline) over in_time as pipeline_nr
    from moments
    window in_time as (partition by deal_id order by occurred_at)
),

carried as (
    select
        deal_id,
        occurred_at,
        source,
        is_inferred,
        actor_user_id,
        max(stage_id) over (partition by deal_id, stage_nr) as stage_id,
        max(status) over (partition by deal_id, status_nr) as status,
        max(pipeline_id) over (partition by deal_id, pipeline_nr) as pipeline_id
    from stretches
),

compared as (
    select
        *,
        lag(stage_id) over in_time as previous_stage_id,
        lag(status) over in_time as previous_status
    from carried
    window in_time as (partition by deal_id order by occurred_at)
)

select
    deal_id,
    occurred_at,
    stage_id,
    status,
    pipeline_id,
    coalesce(source, 'changelog') as source,
    coalesce(is_inferred, false) or stage_id is null as is_inferred,
    actor_user_id
from compared
where
    previous_status is null
    or previous_status <> status
    or previous_stage_id is distinct from stage_id
