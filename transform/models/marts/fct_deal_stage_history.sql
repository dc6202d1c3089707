with states as (
    select * from {{ ref('int_deal_states') }}
),

history as (
    select * from {{ ref('int_deal_history') }}
),

stages as (
    select * from {{ ref('dim_stage') }}
),

clock as (
    select * from {{ ref('int_warehouse_clock') }}
),

intervals as (
    select
        states.*,
        history.ended_at,
        history.history_quality,
        history._loaded_at,
        coalesce(lead(states.occurred_at) over in_time, history.ended_at) as left_at,
        lead(states.stage_id) over in_time as next_stage_id,
        lag(states.stage_id) over in_time as previous_stage_id,
        lag(states.status) over in_time as previous_status,
        lag(states.pipeline_id) over in_time as previous_pipeline_id,
        row_number() over in_time as seq
    from states
    inner join history on states.deal_id = history.deal_id
    where history.ended_at is null or states.occurred_at < history.ended_at
    window in_time as (partition by states.deal_id order by states.occurred_at)
),

-- A skip passes over at least one stage that is in use; direction goes by the order of the stages today.
described as (
    select
        intervals.*,
        coalesce(intervals.left_at, greatest(clock.as_of, intervals.occurred_at)) as until,
        coalesce(stages.pipeline_id, intervals.pipeline_id) as stage_pipeline_id,
        case
            when intervals.previous_stage_id is null or intervals.stage_id is null then null
            when intervals.previous_stage_id = intervals.stage_id then null
            when
                coalesce(stages.pipeline_id, intervals.pipeline_id)
                <> coalesce(previous_stages.pipeline_id, intervals.previous_pipeline_id)
                then 'pipeline'
            when stages.order_nr < previous_stages.order_nr then 'backward'
            when stages.stage_rank - previous_stages.stage_rank > 1 then 'skip'
            when stages.order_nr > previous_stages.order_nr then 'forward'
            else 'unknown'
        end as move_type
    from intervals
    left join stages on intervals.stage_id = stages.stage_id
    left join stages as previous_stages on intervals.previous_stage_id = previous_stages.stage_id
    cross join clock
)

select
    described.deal_id,
    described.seq::integer as seq,
    described.stage_id,
    described.stage_pipeline_id as pipeline_id,
    described.status,
    described.occurred_at as valid_from,
    described.left_at as valid_to,
    described.left_at is null as is_current,
    extract(epoch from described.until - described.occurred_at)::numeric as duration_s,
    {{ days_between('described.occurred_at', 'described.until') }} as duration_days,
    case
        when described.previous_status is null then 'created'
        when described.previous_status = described.status then 'moved'
        when described.previous_status = 'deleted' then 'restored'
        when described.status = 'open' then 'reopened'
        when described.status = 'deleted' then 'deleted'
        else 'closed'
    end as entered_by,
    described.move_type,
    described.previous_stage_id as from_stage_id,
    described.next_stage_id as to_stage_id,
    described.actor_user_id,
    described.source,
    described.is_inferred,
    described.history_quality,
    described._loaded_at
from described
