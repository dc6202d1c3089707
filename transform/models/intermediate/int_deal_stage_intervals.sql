{#-
    The states of a deal as half-open intervals, with the event that began them and the direction of the stage
    change. The tables of sums have what three reports count, so that a change of some thousand rows needs no scan of
    all. A stay is over when its end is known: running stays change with the time.
-#}
-- depends_on: {{ ref('int_stage_move_sums') }}
-- depends_on: {{ ref('int_stage_stay_sums') }}
{{ config(
    materialized='incremental_by_deal',
    summed_into={
        'int_stage_move_sums': {
            'where': 'move_type is not null and counted_as is not null',
            'by': {
                'month': 'began_month', 'pipeline_id': 'coalesce(pipeline_id, 0)', 'owner_id': 'coalesce(owner_id, 0)'
            },
            'sums': {
                'n_moves': 'count(*)',
                'n_forward': "count(*) filter (where move_type in ('forward', 'skip'))",
                'n_skips': "count(*) filter (where move_type = 'skip')",
                'n_regressions': "count(*) filter (where move_type = 'backward')",
                'n_pipeline_moves': "count(*) filter (where move_type = 'pipeline')",
            },
            'lists': {'deals_of_regressions': {'value': 'deal_id', 'where': "move_type = 'backward'"}},
        },
        'int_stage_stay_sums': {
            'where': is_measured_stay() ~ ' and valid_to is not null',
            'by': {
                'month': month_of(local_date('valid_to')), 'stage_id': 'stage_id', 'owner_id': 'coalesce(owner_id, 0)'
            },
            'sums': {
                'n_stays': 'count(*)',
                'stayed_s': 'extract(epoch from sum(valid_to - valid_from))',
            },
            'lists': {'days_of_stays': {'value': days_of_stay(), 'where': 'true'}},
        },
    },
    indexes=[
        {'columns': ['deal_id', 'seq'], 'unique': true},
        {'columns': ['stage_id', 'valid_from']},
        {'columns': ['valid_from']}
    ]
) }}
with states as (
    select * from {{ ref('int_deal_states') }}
    {{ where_deal_changed() }}
),

history as (
    select * from {{ ref('int_deal_history') }}
    {{ where_deal_changed() }}
),

stages as (
    select * from {{ ref('int_stage_order') }}
),

intervals as (
    select
        states.*,
        history.history_quality,
        history.counted_as,
        history.row_owner_id as owner_id,
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
)

-- A skip passes over at least one active stage; the direction follows the current order of the stages.
select
    intervals.deal_id,
    intervals.seq::integer as seq,
    intervals.stage_id,
    coalesce(stages.pipeline_id, intervals.pipeline_id) as pipeline_id,
    intervals.status,
    intervals.occurred_at as valid_from,
    intervals.left_at as valid_to,
    {{ month_of(local_date('intervals.occurred_at')) }} as began_month,
    case
        when intervals.previous_status is null then 'created'
        when intervals.previous_status = intervals.status then 'moved'
        when intervals.previous_status = 'deleted' then 'restored'
        when intervals.status = 'open' then 'reopened'
        when intervals.status = 'deleted' then 'deleted'
        else 'closed'
    end as entered_by,
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
    end as move_type,
    intervals.previous_stage_id as from_stage_id,
    intervals.next_stage_id as to_stage_id,
    intervals.actor_user_id,
    intervals.source,
    intervals.is_inferred,
    intervals.history_quality,
    intervals.counted_as,
    intervals.owner_id,
    intervals._loaded_at
from intervals
left join stages on intervals.stage_id = stages.stage_id
left join stages as previous_stages on intervals.previous_stage_id = previous_stages.stage_id
