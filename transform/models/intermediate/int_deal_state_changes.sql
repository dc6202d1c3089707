{#- Changes of a deal's state: the `stage_id`, `status` and `pipeline_id` rows of its changelog, in order. -#}
{{ config(
    materialized='incremental_by_deal',
    indexes=[{'columns': ['deal_id']}]
) }}
with deals as (
    select
        deal_id,
        coalesce(add_time, stage_change_time, won_time, lost_time, update_time, _extracted_at) as started_at,
        -- The latest time that this copy of the deal can reflect.
        greatest(add_time, update_time, stage_change_time, won_time, lost_time, close_time) as row_known_until
    from {{ ref('stg_pipedrive__deals') }}
    {{ where_deal_changed() }}
),

changes as (
    select * from {{ ref('stg_pipedrive__deal_changelog') }}
    where
        (
            (field_key in ('stage_id', 'pipeline_id') and new_value ~ '^[0-9]{1,18}$')
            or (field_key = 'status' and new_value in ('open', 'won', 'lost', 'deleted'))
        )
    {{ where_deal_changed(first='and') }}
),

-- A changelog is read shortly after its deal. Changes in between are used only after the next sync, so that history
-- and current state are of the same time.
known as (
    select
        changes.*,
        deals.started_at
    from changes
    inner join deals on changes.deal_id = deals.deal_id
    where
        changes.changed_at
        <= coalesce(deals.row_known_until, 'infinity') + interval '{{ var('clock_tolerance_seconds') }} seconds'
),

ordered as (
    select
        change_id,
        deal_id,
        field_key,
        case when field_key = 'status' or old_value ~ '^[0-9]{1,18}$' then old_value end as old_value,
        new_value,
        changed_at,
        -- A creation date may be set to a time after real changes: those changes then count from that date on.
        greatest(changed_at, started_at) as effective_at,
        second_seq,
        actor_user_id,
        row_number() over in_order as change_nr,
        lag(new_value) over in_order as previous_new_value,
        _loaded_at
    from known
    window in_order as (partition by deal_id, field_key order by changed_at, second_seq, change_id)
)

select
    *,
    coalesce(previous_new_value <> coalesce(old_value, ''), false) as is_broken_link
from ordered
