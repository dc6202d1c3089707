{#-
    A visit is the time from entering a stage to leaving it for another stage; closing and reopening in the same
    stage do not end it. A deal that skips a stage passes through it; a deal that is won passes through all later
    stages.
-    The tables of sums have what four reports count, so that a change of some thousand rows needs no scan of all.
#}
-- depends_on: {{ ref('int_stage_funnel_sums') }}
-- depends_on: {{ ref('int_stage_entry_sums') }}
-- depends_on: {{ ref('int_stage_exit_sums') }}
-- depends_on: {{ ref('int_stage_close_sums') }}
{%- set owner = 'coalesce(closing_owner_id, -1)' %}
{{ config(
    materialized='incremental_by_deal',
    summed_into={
        'int_stage_funnel_sums': {
            'where': 'counted_as is not null and pipeline_entered_month is not null',
            'by': {
                'month': 'pipeline_entered_month', 'pipeline_id': 'pipeline_id', 'stage_id': 'stage_id', 'owner_id': owner
            },
            'sums': {
                'n_reached': 'count(*)',
                'n_came_in': 'count(*) filter (where is_pipeline_entry)',
                'n_reached_strict': 'count(*) filter (where entered_directly)',
                'n_won_past': "count(*) filter (where reached_by = 'won')",
            },
        },
        'int_stage_entry_sums': {
            'where': 'counted_as is not null and entered_directly',
            'by': {
                'month': 'first_entered_month', 'pipeline_id': 'pipeline_id', 'stage_id': 'stage_id', 'owner_id': owner
            },
            'sums': {
                'n_entered': 'count(*)',
                'n_progressed': "count(*) filter (where has_got_further or counted_as = 'won')",
                'n_still_open': "count(*) filter (where counted_as = 'open' and not has_got_further)",
            },
        },
        'int_stage_exit_sums': {
            'where': "counted_as is not null and entered_directly"
                ~ " and first_exit_outcome in ('advanced', 'back', 'pipeline', 'won', 'lost')",
            'by': {
                'month': 'first_exited_month', 'pipeline_id': 'pipeline_id', 'stage_id': 'stage_id', 'owner_id': owner
            },
            'sums': {
                'n_exited': 'count(*)',
                'n_won': "count(*) filter (where first_exit_outcome = 'won')",
                'n_lost': "count(*) filter (where first_exit_outcome = 'lost')",
                'n_back': "count(*) filter (where first_exit_outcome = 'back')",
                'n_moved_pipeline': "count(*) filter (where first_exit_outcome = 'pipeline')",
                'n_timed': 'count(*) filter (where is_measured)',
                'stayed_s': 'coalesce(extract(epoch from '
                    ~ 'sum(first_exited_at - first_entered_at) filter (where is_measured)), 0)',
            },
            'lists': {'days_of_visits': {
                'value': "round(date_part('epoch', first_exited_at - first_entered_at) / 864) / 100",
                'where': 'is_measured',
            }},
        },
        'int_stage_close_sums': {
            'where': "counted_as is not null and close_date_local is not null and reached_by <> 'won'",
            'by': {'closed_on': 'close_date_local', 'stage_id': 'stage_id'},
            'sums': {'n_closed': 'count(*)', 'n_won': "count(*) filter (where counted_as = 'won')"},
        },
    },
    on_schema_change='append_new_columns',
    indexes=[{'columns': ['stage_id']}, {'columns': ['deal_id']}]
) }}
with history as (
    select
        *,
        valid_to is null as is_current
    from {{ ref('int_deal_stage_intervals') }}
    {{ where_deal_changed() }}
),

stages as (
    select
        stage_id,
        pipeline_id,
        order_nr,
        is_active
    from {{ ref('dim_stage') }}
    where stage_id <> -1
),

closings as (
    select
        deal_id,
        closing_owner_id,
        close_date_local
    from {{ ref('int_deal_current') }}
    {{ where_deal_changed() }}
),

compared as (
    select
        *,
        seq = 1
        or coalesce(lag(stage_id) over (partition by deal_id order by seq), -1)
        <> coalesce(stage_id, -1) as begins_visit
    from history
),

numbered as (
    select
        *,
        count(*) filter (where begins_visit) over (partition by deal_id order by seq) as visit_nr
    from compared
),

visits as (
    select
        deal_id,
        visit_nr,
        max(stage_id) as stage_id,
        max(pipeline_id) as pipeline_id,
        min(valid_from) as entered_at,
        bool_or(is_current) as is_current,
        case when not bool_or(is_current) then max(valid_to) end as left_at,
        (array_agg(status order by seq desc))[1] as last_status,
        max(valid_from) as last_status_at,
        coalesce(sum(extract(epoch from valid_to - valid_from)) filter (where status = 'open'), 0) as open_s,
        max(valid_from) filter (where is_current and status = 'open') as open_since,
        bool_or(is_inferred) as is_inferred,
        max(history_quality) as history_quality,
        max(counted_as) as counted_as,
        max(_loaded_at) as _loaded_at
    from numbered
    group by deal_id, visit_nr
),

followed as (
    select
        visits.*,
        stages.order_nr,
        count(*) over (partition by visits.deal_id) as n_visits,
        lead(visits.stage_id) over in_order as next_stage_id,
        lead(visits.pipeline_id) over in_order as next_pipeline_id,
        lead(stages.order_nr) over in_order as next_order_nr
    from visits
    left join stages on visits.stage_id = stages.stage_id
    window in_order as (partition by visits.deal_id order by visits.visit_nr)
),

ended as (
    select
        *,
        case
            when visit_nr < n_visits and next_pipeline_id <> pipeline_id then 'pipeline'
            when visit_nr < n_visits and next_order_nr < order_nr then 'back'
            when visit_nr < n_visits then 'advanced'
            when not is_current then 'deleted'
            else last_status
        end as outcome,
        case
            when visit_nr < n_visits or not is_current then left_at
            when last_status <> 'open' then last_status_at
        end as exited_at
    from followed
),

entered as (
    select
        deal_id,
        stage_id,
        min(entered_at) as first_entered_at,
        max(entered_at) as last_entered_at,
        count(*) as n_entries,
        sum(open_s) as total_open_s,
        max(open_since) as open_since,
        bool_or(is_inferred) as is_inferred,
        (array_agg(outcome order by visit_nr))[1] as first_exit_outcome,
        (array_agg(exited_at order by visit_nr))[1] as first_exited_at,
        (array_agg(outcome order by visit_nr desc))[1] as exit_outcome,
        (array_agg(exited_at order by visit_nr desc))[1] as exited_at,
        {%- for outcome in ['advanced', 'back', 'pipeline', 'won', 'lost', 'open', 'deleted'] %}
        count(*) filter (where outcome = '{{ outcome }}') as n_{{ outcome }},
        {%- endfor %}
        max(_loaded_at) as _loaded_at
    from ended
    where stage_id is not null
    group by deal_id, stage_id
),

-- A deal's period in a pipeline, with its first and last stage.
presences as (
    select
        ended.deal_id,
        stages.pipeline_id,
        bool_or(ended.visit_nr = 1) as was_created_there,
        min(ended.order_nr) as lowest_order_nr,
        max(ended.order_nr) filter (where ended.outcome = 'won') as won_order_nr,
        max(ended.exited_at) filter (where ended.outcome = 'won') as won_at,
        max(ended.history_quality) as history_quality,
        max(ended.counted_as) as counted_as,
        max(ended._loaded_at) as _loaded_at
    from ended
    inner join stages on ended.stage_id = stages.stage_id
    group by ended.deal_id, stages.pipeline_id
),

candidates as (
    select
        presences.deal_id,
        presences.pipeline_id,
        presences.was_created_there,
        presences.lowest_order_nr,
        presences.won_order_nr,
        presences.won_at,
        presences.history_quality,
        presences.counted_as,
        presences._loaded_at,
        stages.stage_id,
        stages.order_nr,
        stages.is_active,
        min(entered.first_entered_at) over (
            partition by presences.deal_id, presences.pipeline_id order by stages.order_nr desc, stages.stage_id desc
        ) as entered_this_or_later_at
    from presences
    inner join stages on presences.pipeline_id = stages.pipeline_id
    left join entered on presences.deal_id = entered.deal_id and stages.stage_id = entered.stage_id
),

reached as (
    select
        *,
        case
            -- A deal may enter another pipeline at any stage: earlier stages are not passed.
            when was_created_there or order_nr >= lowest_order_nr then entered_this_or_later_at
        end as passed_at,
        case when order_nr > won_order_nr then won_at end as won_past_at
    from candidates
),

shown as (
    select
        reached.deal_id,
        reached.stage_id,
        reached.pipeline_id,
        coalesce(reached.passed_at, entered.first_entered_at, reached.won_past_at) as reached_at,
        entered.deal_id is not null as entered_directly,
        entered.deal_id is null as passed_through,
        case
            when entered.deal_id is not null then 'entered'
            when reached.passed_at is not null then 'skipped'
            else 'won'
        end as reached_by,
        entered.first_entered_at,
        entered.last_entered_at,
        coalesce(entered.n_entries, 0)::integer as n_entries,
        entered.total_open_s::numeric as total_open_s,
        entered.open_since,
        entered.first_exit_outcome,
        entered.first_exited_at,
        entered.exit_outcome,
        entered.exited_at,
        {%- for outcome in ['advanced', 'back', 'pipeline', 'won', 'lost', 'open', 'deleted'] %}
        coalesce(entered.n_{{ outcome }}, 0)::integer as n_{{ outcome }},
        {%- endfor %}
        coalesce(entered.is_inferred, false) as is_inferred,
        reached.history_quality,
        reached.counted_as,
        closings.close_date_local,
        closings.closing_owner_id,
        reached.order_nr,
        reached._loaded_at
    from reached
    left join entered on reached.deal_id = entered.deal_id and reached.stage_id = entered.stage_id
    left join closings on reached.deal_id = closings.deal_id
    where
        entered.deal_id is not null
        or (reached.is_active and (reached.passed_at is not null or reached.won_past_at is not null))
)

select
    deal_id,
    stage_id,
    pipeline_id,
    reached_at,
    entered_directly,
    passed_through,
    reached_by,
    first_entered_at,
    {{ month_of(local_date('first_entered_at')) }} as first_entered_month,
    last_entered_at,
    n_entries,
    total_open_s,
    open_since,
    first_exit_outcome,
    first_exited_at,
    {{ month_of(local_date('first_exited_at')) }} as first_exited_month,
    exit_outcome,
    exited_at,
    {%- for outcome in ['advanced', 'back', 'pipeline', 'won', 'lost', 'open', 'deleted'] %}
    n_{{ outcome }},
    {%- endfor %}
    is_inferred,
    {{ month_of(local_date('min(first_entered_at) over in_pipeline')) }} as pipeline_entered_month,
    coalesce(
        first_entered_at is not null
        and row_number() over (in_pipeline order by first_entered_at asc nulls last, stage_id asc) = 1,
        false
    ) as is_pipeline_entry,
    coalesce(max(order_nr) filter (where entered_directly) over in_pipeline > order_nr, false) as has_got_further,
    not is_inferred and history_quality <> 'broken_chain' as is_measured,
    counted_as,
    close_date_local,
    _loaded_at,
    closing_owner_id
from shown
window in_pipeline as (partition by deal_id, pipeline_id)
