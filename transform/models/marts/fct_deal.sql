{#-
    A view: ages, exchange rates and the records a deal names change without the deal. Each joined table has a
    key, so PostgreSQL leaves out those that a query does not ask for. What is stored is int_deal_current; values come from int_deal_values.
-#}
{{ config(materialized='published_view') }}
with deals as (
    select * from {{ ref('int_deal_values') }}
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

deals_with_stages as (
    select
        deals.*,
        stages.is_rotting_enabled,
        stages.rotten_days,
        {{ as_of() }} as as_of
    from deals
    left join stages on deals.stage_id = stages.stage_id
)

select
    deals_with_stages.deal_id,
    deals_with_stages.title,
    -- who: -1 is a record the source names but does not show
    case when deals_with_stages.owner_id is not null then coalesce(owners.user_id, -1) end as owner_id,
    case when deals_with_stages.creator_user_id is not null then coalesce(creators.user_id, -1) end as creator_user_id,
    case when deals_with_stages.org_id is not null then coalesce(organizations.org_id, -1) end as org_id,
    case when deals_with_stages.person_id is not null then coalesce(persons.person_id, -1) end as person_id,
    -- where
    deals_with_stages.pipeline_id,
    deals_with_stages.stage_id,
    deals_with_stages.status,
    deals_with_stages.is_deleted,
    deals_with_stages.is_archived,
    -- how much
    deals_with_stages.value,
    deals_with_stages.currency,
    deals_with_stages.value_base,
    deals_with_stages.fx_rate,
    deals_with_stages.fx_date,
    deals_with_stages.fx_missing,
    deals_with_stages.probability as deal_prob,
    deals_with_stages.stage_prob,
    deals_with_stages.effective_prob,
    deals_with_stages.weighted_value_base,
    deals_with_stages.arr,
    deals_with_stages.mrr,
    deals_with_stages.acv,
    -- when
    deals_with_stages.add_time,
    deals_with_stages.update_time,
    deals_with_stages.stage_change_time,
    deals_with_stages.won_time,
    deals_with_stages.lost_time,
    deals_with_stages.close_time,
    deals_with_stages.first_won_time,
    deals_with_stages.archive_time,
    deals_with_stages.deleted_at,
    deals_with_stages.is_deleted_at_estimated,
    deals_with_stages.expected_close_date,
    deals_with_stages.add_date_local,
    deals_with_stages.won_date_local,
    deals_with_stages.lost_date_local,
    deals_with_stages.close_date_local,
    -- why and whence
    deals_with_stages.lost_reason,
    case
        when deals_with_stages.status = 'lost' or deals_with_stages.lost_reason is not null
            then {{ lost_reason_norm('deals_with_stages.lost_reason') }}
    end as lost_reason_norm,
    deals_with_stages.origin,
    deals_with_stages.channel,
    deals_with_stages.source_lead_id,
    -- how long
    deals_with_stages.cycle_days,
    {{ days_between('deals_with_stages.add_time', 'coalesce(deals_with_stages.ended_at, deals_with_stages.as_of)') }} as age_days,
    case
        when coalesce(deals_with_stages.open_s, 0) > 0 or deals_with_stages.open_since is not null
            then round((
                coalesce(deals_with_stages.open_s, 0)
                + coalesce(extract(epoch from greatest(deals_with_stages.as_of - deals_with_stages.open_since, interval '0')), 0)
            )::numeric / 86400, 3)
    end as open_days,
    deals_with_stages.stage_entered_at,
    case
        when deals_with_stages.status = 'open' and not deals_with_stages.is_deleted
            then {{ days_between('deals_with_stages.stage_entered_at', 'deals_with_stages.as_of') }}
    end as days_in_current_stage,
    coalesce(
        deals_with_stages.status = 'open' and not deals_with_stages.is_deleted and deals_with_stages.is_rotting_enabled
        and deals_with_stages.as_of > deals_with_stages.update_time + deals_with_stages.rotten_days * interval '1 day',
        false
    ) as is_rotten,
    deals_with_stages.n_stage_moves,
    deals_with_stages.n_regressions,
    deals_with_stages.n_reopens,
    deals_with_stages.history_quality,
    -- counters of the source
    deals_with_stages.activities_count,
    deals_with_stages.done_activities_count,
    deals_with_stages.undone_activities_count,
    deals_with_stages.email_messages_count,
    deals_with_stages.notes_count,
    deals_with_stages.files_count,
    deals_with_stages.products_count,
    deals_with_stages.participants_count,
    deals_with_stages.followers_count,
    deals_with_stages._loaded_at,
    deals_with_stages.fx_source,
    deals_with_stages.fx_is_backdated
from deals_with_stages
-- not by a name above: one that is used twice is a table of its own to PostgreSQL, and has no key
left join {{ ref('dim_user') }} as owners on deals_with_stages.owner_id = owners.user_id
left join {{ ref('dim_user') }} as creators on deals_with_stages.creator_user_id = creators.user_id
left join organizations on deals_with_stages.org_id = organizations.org_id
left join persons on deals_with_stages.person_id = persons.person_id
