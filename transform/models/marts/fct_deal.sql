with source_deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

stages as (
    select * from {{ ref('dim_stage') }}
),

owners as (
    select user_id from {{ ref('dim_user') }}
),

organizations as (
    select org_id from {{ ref('dim_organization') }}
),

persons as (
    select person_id from {{ ref('dim_person') }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

clock as (
    select * from {{ ref('int_warehouse_clock') }}
),

history as (
    select
        deal_id,
        max(history_quality) as history_quality,
        count(move_type) as n_stage_moves,
        count(*) filter (where move_type = 'backward') as n_regressions,
        count(*) filter (where entered_by = 'reopened') as n_reopens,
        sum(duration_days) filter (where status = 'open') as open_days,
        max(valid_from) filter (where move_type is not null or entered_by = 'created') as stage_entered_at
    from {{ ref('fct_deal_stage_history') }}
    group by deal_id
),

ends as (
    select
        deal_id,
        ended_at,
        is_end_estimated
    from {{ ref('int_deal_history') }}
    where ended_at is not null
),

deals as (
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

dated as (
    select
        deals.*,
        coalesce(deals.won_at, deals.lost_at) as closed_at,
        -- the day whose exchange rate applies
        case '{{ fx_policy() }}'
            when 'close' then {{ local_date('coalesce(deals.won_at, deals.lost_at, clock.as_of)') }}
            when 'add' then {{ local_date('coalesce(deals.add_time, clock.as_of)') }}
            else {{ local_date('clock.as_of') }}
        end as rated_on
    from deals
    cross join clock
),

priced as (
    select
        dated.*,
        fx_rates.rate as fx_rate,
        fx_rates.rate_date as fx_date,
        dated.value is not null and fx_rates.rate is null as fx_missing,
        round(dated.value * fx_rates.rate, 2) as value_base
    from dated
    left join fx_rates
        on
            dated.currency = fx_rates.currency
            and dated.rated_on >= fx_rates.valid_from
            and dated.rated_on < fx_rates.valid_to
),

weighed as (
    select
        priced.*,
        stages.deal_probability as stage_probability,
        stages.is_rotting_enabled,
        stages.days_to_rotten,
        case priced.status
            when 'won' then 100
            when 'lost' then 0
            else coalesce(priced.probability, stages.deal_probability, 100)
        end as effective_probability
    from priced
    left join stages on priced.stage_id = stages.stage_id
),

final as (
    select
        weighed.deal_id,
        weighed.title,
        -- who: -1 is a record the source names but does not show
        case when weighed.owner_id is not null then coalesce(owners.user_id, -1) end as owner_id,
        case when weighed.creator_user_id is not null then coalesce(creators.user_id, -1) end as creator_user_id,
        case when weighed.org_id is not null then coalesce(organizations.org_id, -1) end as org_id,
        case when weighed.person_id is not null then coalesce(persons.person_id, -1) end as person_id,
        -- where
        weighed.pipeline_id,
        weighed.stage_id,
        weighed.status,
        weighed.is_deleted,
        weighed.is_archived,
        -- how much
        weighed.value,
        weighed.currency,
        weighed.value_base,
        weighed.fx_rate,
        weighed.fx_date,
        weighed.fx_missing,
        weighed.probability as deal_probability,
        weighed.stage_probability,
        weighed.effective_probability,
        round(weighed.value_base * weighed.effective_probability / 100, 2) as weighted_value_base,
        weighed.arr,
        weighed.mrr,
        weighed.acv,
        -- when
        weighed.add_time,
        weighed.update_time,
        weighed.stage_change_time,
        weighed.won_at as won_time,
        weighed.lost_at as lost_time,
        weighed.closed_at as close_time,
        weighed.first_won_time,
        weighed.archive_time,
        case when weighed.is_deleted then coalesce(ends.ended_at, weighed.deleted_at) end as deleted_at,
        coalesce(ends.is_end_estimated, false) as is_deleted_at_estimated,
        weighed.expected_close_date,
        {{ local_date('weighed.add_time') }} as add_date_local,
        {{ local_date('weighed.won_at') }} as won_date_local,
        {{ local_date('weighed.lost_at') }} as lost_date_local,
        {{ local_date('weighed.closed_at') }} as close_date_local,
        -- why and whence
        weighed.lost_reason,
        weighed.origin,
        weighed.channel,
        weighed.source_lead_id,
        -- how long
        {{ days_between('weighed.add_time', 'weighed.closed_at') }} as cycle_days,
        {{ days_between('weighed.add_time', 'coalesce(ends.ended_at, clock.as_of)') }} as age_days,
        history.open_days,
        history.stage_entered_at,
        case
            when weighed.status = 'open' and not weighed.is_deleted
                then {{ days_between('history.stage_entered_at', 'clock.as_of') }}
        end as days_in_current_stage,
        coalesce(
            weighed.status = 'open' and not weighed.is_deleted and weighed.is_rotting_enabled
            and clock.as_of > weighed.update_time + weighed.days_to_rotten * interval '1 day',
            false
        ) as is_rotten,
        coalesce(history.n_stage_moves, 0)::integer as n_stage_moves,
        coalesce(history.n_regressions, 0)::integer as n_regressions,
        coalesce(history.n_reopens, 0)::integer as n_reopens,
        history.history_quality,
        -- counters of the source
        weighed.activities_count,
        weighed.done_activities_count,
        weighed.undone_activities_count,
        weighed.email_messages_count,
        weighed.notes_count,
        weighed.files_count,
        weighed.products_count,
        weighed.participants_count,
        weighed.followers_count,
        weighed._loaded_at
    from weighed
    cross join clock
    left join owners on weighed.owner_id = owners.user_id
    left join owners as creators on weighed.creator_user_id = creators.user_id
    left join organizations on weighed.org_id = organizations.org_id
    left join persons on weighed.person_id = persons.person_id
    left join history on weighed.deal_id = history.deal_id
    left join ends on weighed.deal_id = ends.deal_id
)

select * from final
