{#-
    A view: ages, exchange rates and the records a deal names change without the deal. Each joined table has a
    key, so PostgreSQL leaves out those that a query does not ask for. What is stored is int_deal_current.
-#}
{{ config(materialized='published_view') }}
with deals as (
    select * from {{ ref('int_deal_current') }}
),

stages as (
    select * from {{ ref('dim_stage') }}
),

organizations as (
    select org_id from {{ ref('dim_organization') }}
),

persons as (
    select person_id from {{ ref('dim_person') }}
),

clocked as (
    select
        *,
        {{ as_of() }} as as_of
    from deals
),

dated as (
    select
        *,
        -- the day whose exchange rate applies
        case '{{ fx_policy() }}'
            when 'close' then coalesce(close_date_local, {{ local_date('as_of') }})
            when 'add' then coalesce(add_date_local, {{ local_date('as_of') }})
            else {{ local_date('as_of') }}
        end as rated_on
    from clocked
),

priced as (
    select
        dated.*,
        -- Looked up one by one: only asked for where the currency is another one, and only if selected.
        case when dated.currency = {{ base_currency() }} then 1 else {{ rate_in_force('rate') }} end as fx_rate,
        case when dated.currency <> {{ base_currency() }} then {{ rate_in_force('rate_date') }} end as fx_date,
        case when dated.currency <> {{ base_currency() }} then {{ rate_in_force('source') }} end as fx_source,
        case
            when dated.currency <> {{ base_currency() }} then {{ rate_in_force('is_backdated') }}
        end as fx_is_backdated
    from dated
),

weighed as (
    select
        priced.*,
        round(priced.value * priced.fx_rate, 2) as value_base,
        stages.probability as stage_prob,
        stages.is_rotting_enabled,
        stages.rotten_days,
        case priced.status
            when 'won' then 100
            when 'lost' then 0
            else coalesce(priced.probability, stages.probability, 100)
        end as effective_prob
    from priced
    left join stages on priced.stage_id = stages.stage_id
)

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
    weighed.value is not null and weighed.fx_rate is null as fx_missing,
    weighed.probability as deal_prob,
    weighed.stage_prob,
    weighed.effective_prob,
    round(weighed.value_base * weighed.effective_prob / 100, 2) as weighted_value_base,
    weighed.arr,
    weighed.mrr,
    weighed.acv,
    -- when
    weighed.add_time,
    weighed.update_time,
    weighed.stage_change_time,
    weighed.won_time,
    weighed.lost_time,
    weighed.close_time,
    weighed.first_won_time,
    weighed.archive_time,
    weighed.deleted_at,
    weighed.is_deleted_at_estimated,
    weighed.expected_close_date,
    weighed.add_date_local,
    weighed.won_date_local,
    weighed.lost_date_local,
    weighed.close_date_local,
    -- why and whence
    weighed.lost_reason,
    case
        when weighed.status = 'lost' or weighed.lost_reason is not null
            then {{ lost_reason_norm('weighed.lost_reason') }}
    end as lost_reason_norm,
    weighed.origin,
    weighed.channel,
    weighed.source_lead_id,
    -- how long
    weighed.cycle_days,
    {{ days_between('weighed.add_time', 'coalesce(weighed.ended_at, weighed.as_of)') }} as age_days,
    case
        when coalesce(weighed.open_s, 0) > 0 or weighed.open_since is not null
            then round((
                coalesce(weighed.open_s, 0)
                + coalesce(extract(epoch from greatest(weighed.as_of - weighed.open_since, interval '0')), 0)
            )::numeric / 86400, 3)
    end as open_days,
    weighed.stage_entered_at,
    case
        when weighed.status = 'open' and not weighed.is_deleted
            then {{ days_between('weighed.stage_entered_at', 'weighed.as_of') }}
    end as days_in_current_stage,
    coalesce(
        weighed.status = 'open' and not weighed.is_deleted and weighed.is_rotting_enabled
        and weighed.as_of > weighed.update_time + weighed.rotten_days * interval '1 day',
        false
    ) as is_rotten,
    weighed.n_stage_moves,
    weighed.n_regressions,
    weighed.n_reopens,
    weighed.history_quality,
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
    weighed._loaded_at,
    weighed.fx_source,
    coalesce(weighed.fx_is_backdated, false) as fx_is_backdated
from weighed
-- not by a name above: one that is used twice is a table of its own to PostgreSQL, and has no key
left join {{ ref('dim_user') }} as owners on weighed.owner_id = owners.user_id
left join {{ ref('dim_user') }} as creators on weighed.creator_user_id = creators.user_id
left join organizations on weighed.org_id = organizations.org_id
left join persons on weighed.person_id = persons.person_id
