{#-
    A view, because ages, exchange rates and referenced records change independently of the deal. Each joined table
    has a key, so PostgreSQL omits joins that a query does not need. int_deal_current stores the properties;
    int_deal_values computes the values. Without `with`, for the reason that int_deal_values has.
-#}
{{ config(materialized='published_view') }}
select
    deals.deal_id,
    deals.title,
    -- people; -1 is a record that the source references but does not return
    case when deals.owner_id is not null then coalesce(owners.user_id, -1) end as owner_id,
    case when deals.creator_user_id is not null then coalesce(creators.user_id, -1) end as creator_user_id,
    case when deals.org_id is not null then coalesce(organizations.org_id, -1) end as org_id,
    case when deals.person_id is not null then coalesce(persons.person_id, -1) end as person_id,
    -- pipeline and stage
    deals.pipeline_id,
    deals.stage_id,
    deals.status,
    deals.is_deleted,
    deals.is_archived,
    -- values
    deals.value,
    deals.currency,
    deals.value_base,
    deals.fx_rate,
    deals.fx_date,
    deals.fx_missing,
    deals.probability as deal_prob,
    deals.stage_prob,
    deals.effective_prob,
    deals.weighted_value_base,
    deals.arr,
    deals.mrr,
    deals.acv,
    -- times
    deals.add_time,
    deals.update_time,
    deals.stage_change_time,
    deals.won_time,
    deals.lost_time,
    deals.close_time,
    deals.first_won_time,
    deals.archive_time,
    deals.deleted_at,
    deals.is_deleted_at_estimated,
    deals.expected_close_date,
    deals.add_date_local,
    deals.won_date_local,
    deals.lost_date_local,
    deals.close_date_local,
    -- reason and origin
    deals.lost_reason,
    case
        when deals.status = 'lost' or deals.lost_reason is not null
            then {{ lost_reason_norm('deals.lost_reason') }}
    end as lost_reason_norm,
    deals.origin,
    deals.channel,
    deals.source_lead_id,
    -- durations
    deals.cycle_days,
    {{ days_between('deals.add_time', 'coalesce(deals.ended_at, deals.as_of)') }} as age_days,
    case
        when coalesce(deals.open_s, 0) > 0 or deals.open_since is not null
            then round((
                coalesce(deals.open_s, 0)
                + coalesce(extract(epoch from greatest(deals.as_of - deals.open_since, interval '0')), 0)
            )::numeric / 86400, 3)
    end as open_days,
    deals.stage_entered_at,
    case
        when deals.status = 'open' and not deals.is_deleted
            then {{ days_between('deals.stage_entered_at', 'deals.as_of') }}
    end as days_in_current_stage,
    coalesce(
        deals.status = 'open' and not deals.is_deleted and deals.is_rotting_enabled
        and deals.as_of > deals.update_time + deals.rotten_days * interval '1 day',
        false
    ) as is_rotten,
    deals.n_stage_moves,
    deals.n_regressions,
    deals.n_reopens,
    deals.history_quality,
    -- counters of the source
    deals.activities_count,
    deals.done_activities_count,
    deals.undone_activities_count,
    deals.email_messages_count,
    deals.notes_count,
    deals.files_count,
    deals.products_count,
    deals.participants_count,
    deals.followers_count,
    deals._loaded_at,
    deals.fx_source,
    deals.fx_is_backdated,
    counted_deals.closing_owner_id
from (
    select
        deal_values.*,
        stages.is_rotting_enabled,
        stages.rotten_days,
        {{ as_of() }} as as_of
    from {{ ref('int_deal_values') }} as deal_values
    left join {{ ref('dim_stage') }} as stages on deal_values.stage_id = stages.stage_id
) as deals
left join {{ ref('dim_user') }} as owners on deals.owner_id = owners.user_id
left join {{ ref('dim_user') }} as creators on deals.creator_user_id = creators.user_id
left join {{ ref('dim_organization') }} as organizations on deals.org_id = organizations.org_id
left join {{ ref('dim_person') }} as persons on deals.person_id = persons.person_id
left join {{ ref('int_counted_deals') }} as counted_deals on deals.deal_id = counted_deals.deal_id
