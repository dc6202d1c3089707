{#- Events: from this time on, this field of this deal had this value. One row per deal, field and time. -#}
{{ config(
    materialized='incremental_by_deal',
    indexes=[{'columns': ['deal_id']}]
) }}
with history as (
    select * from {{ ref('int_deal_history') }}
    {{ where_deal_changed() }}
),

changes as (
    select * from {{ ref('int_deal_state_changes') }}
    {{ where_deal_changed() }}
),

seeds as (
    select
        history.deal_id,
        history.started_at as occurred_at,
        seed.field_key,
        seed.value,
        null::bigint as actor_user_id,
        'created' as source,
        seed.value is null as is_inferred,
        0 as precedence,
        0 as change_nr
    from history
    cross join lateral (
        values
        ('stage_id', history.seed_stage_id::text),
        ('status', history.seed_status),
        ('pipeline_id', history.seed_pipeline_id::text)
    ) as seed (field_key, value)
),

logged as (
    select
        deal_id,
        effective_at as occurred_at,
        field_key,
        new_value as value,
        actor_user_id,
        'changelog' as source,
        is_broken_link as is_inferred,
        1 as precedence,
        change_nr
    from changes
),

observed as (
    select
        deal_id,
        occurred_at,
        field_key,
        value,
        null::bigint as actor_user_id,
        'snapshot' as source,
        is_inferred,
        2 as precedence,
        copy_nr as change_nr
    from {{ ref('int_deal_observed_changes') }}
    {{ where_deal_changed() }}
),

stages_from_rows as (
    select
        deal_id,
        row_stage_at as occurred_at,
        'stage_id' as field_key,
        row_stage_id::text as value,
        null::bigint as actor_user_id,
        'current' as source,
        not is_row_stage_exact as is_inferred,
        3 as precedence,
        0 as change_nr
    from history
    where stage_from_row
),

pipelines_from_rows as (
    select
        deal_id,
        row_stage_at as occurred_at,
        'pipeline_id' as field_key,
        row_pipeline_id::text as value,
        null::bigint as actor_user_id,
        'current' as source,
        false as is_inferred,
        3 as precedence,
        0 as change_nr
    from history
    where stage_from_row
),

statuses_from_rows as (
    select
        deal_id,
        row_status_at as occurred_at,
        'status' as field_key,
        row_status as value,
        null::bigint as actor_user_id,
        'current' as source,
        not is_row_status_exact as is_inferred,
        3 as precedence,
        0 as change_nr
    from history
    where status_from_row
),

unioned as (
    select * from seeds
    union all
    select * from logged
    union all
    select * from observed
    union all
    select * from stages_from_rows
    union all
    select * from pipelines_from_rows
    union all
    select * from statuses_from_rows
)

select distinct on (deal_id, field_key, occurred_at)
    deal_id,
    field_key,
    occurred_at,
    value,
    source,
    is_inferred,
    actor_user_id
from unioned
order by deal_id asc, field_key asc, occurred_at asc, precedence desc, change_nr desc
