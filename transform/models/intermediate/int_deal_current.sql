{#-
    All stored properties of a deal, and figures from its history. fct_deal adds the columns that depend on the
    current time.
-#}
{{ config(
    materialized='incremental_by_deal',
    indexes=[
        {'columns': ['deal_id'], 'unique': true},
        {'columns': ['status', 'pipeline_id', 'stage_id']},
        {'columns': ['owner_id', 'status']},
        {'columns': ['add_time']},
        {'columns': ['close_time']},
        {'columns': ['update_time']},
        {'columns': ['expected_close_date']},
        {'columns': ['org_id']},
        {'columns': ['person_id']}
    ]
) }}
with source_deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
    {{ where_deal_changed() }}
),

history as (
    select
        deal_id,
        count(move_type) as n_stage_moves,
        count(*) filter (where move_type = 'backward') as n_regressions,
        count(*) filter (where entered_by = 'reopened') as n_reopens,
        sum(extract(epoch from valid_to - valid_from)) filter (where status = 'open') as open_s,
        max(valid_from) filter (where status = 'open' and valid_to is null) as open_since,
        max(valid_from) filter (where move_type is not null or entered_by = 'created') as stage_entered_at
    from {{ ref('int_deal_stage_intervals') }}
    {{ where_deal_changed() }}
    group by deal_id
),

bounds as (
    select
        deal_id,
        ended_at,
        is_end_estimated,
        history_quality
    from {{ ref('int_deal_history') }}
    {{ where_deal_changed() }}
),

owners as (
    select
        deal_id,
        owner_id,
        valid_from,
        valid_to
    from {{ ref('int_deal_attribute_states') }}
    {{ where_deal_changed() }}
),

closed as (
    select
        source_deals.*,
        case
            when source_deals.status = 'won' then coalesce(source_deals.won_time, source_deals.close_time)
        end as won_at,
        case
            when source_deals.status = 'lost' then coalesce(source_deals.lost_time, source_deals.close_time)
        end as lost_at
    from source_deals
),

deals as (
    select
        closed.*,
        coalesce(closed.won_at, closed.lost_at) as closed_at
    from closed
)

select
    deals.deal_id,
    deals.title,
    deals.owner_id,
    coalesce(owners.owner_id, deals.owner_id) as closing_owner_id,
    deals.creator_user_id,
    deals.org_id,
    deals.person_id,
    deals.pipeline_id,
    deals.stage_id,
    deals.status,
    deals.is_deleted,
    deals.is_archived,
    deals.value,
    deals.currency,
    deals.probability,
    deals.arr,
    deals.mrr,
    deals.acv,
    deals.add_time,
    deals.update_time,
    deals.stage_change_time,
    deals.won_at as won_time,
    deals.lost_at as lost_time,
    deals.closed_at as close_time,
    deals.first_won_time,
    deals.archive_time,
    case when deals.is_deleted then coalesce(bounds.ended_at, deals.deleted_at) end as deleted_at,
    coalesce(bounds.is_end_estimated and bounds.ended_at is not null, false) as is_deleted_at_estimated,
    bounds.ended_at,
    deals.expected_close_date,
    greatest(deals.last_incoming_mail_time, deals.last_outgoing_mail_time) as last_mail_at,
    {{ local_date('deals.add_time') }} as add_date_local,
    {{ local_date('deals.won_at') }} as won_date_local,
    {{ local_date('deals.lost_at') }} as lost_date_local,
    {{ local_date('deals.closed_at') }} as close_date_local,
    deals.lost_reason,
    deals.origin,
    deals.channel,
    deals.source_lead_id,
    {{ days_between('deals.add_time', 'deals.closed_at') }} as cycle_days,
    history.open_s,
    history.open_since,
    history.stage_entered_at,
    coalesce(history.n_stage_moves, 0)::integer as n_stage_moves,
    coalesce(history.n_regressions, 0)::integer as n_regressions,
    coalesce(history.n_reopens, 0)::integer as n_reopens,
    bounds.history_quality,
    deals.activities_count,
    deals.done_activities_count,
    deals.undone_activities_count,
    deals.email_messages_count,
    deals.notes_count,
    deals.files_count,
    deals.products_count,
    deals.participants_count,
    deals.followers_count,
    deals._loaded_at
from deals
left join history on deals.deal_id = history.deal_id
left join bounds on deals.deal_id = bounds.deal_id
left join owners
    on
        deals.deal_id = owners.deal_id
        and deals.closed_at >= owners.valid_from
        and deals.closed_at < coalesce(owners.valid_to, 'infinity')
