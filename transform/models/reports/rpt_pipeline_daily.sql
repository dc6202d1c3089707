{{ config(unique_key=['date_day', 'pipeline_id', 'stage_id', 'owner_id']) }}
-- fct_deal_daily_snapshot writes the sums: {{ ref('fct_deal_daily_snapshot') }}
with days as (
    select * from {{ ref('int_pipeline_days') }}
    where open_count > 0
),

deleted_deals as (
    select array_agg(deal_id) as ids from {{ ref('int_deal_current') }}
    where is_deleted
),

-- Deals deleted later: they were open on that day.
deleted as (
    select
        snapshot.date_day,
        coalesce(snapshot.pipeline_id, 0) as pipeline_id,
        coalesce(snapshot.stage_id, 0) as stage_id,
        coalesce(snapshot.owner_id, 0) as owner_id,
        count(*) as n_deals
    from {{ ref('fct_deal_daily_snapshot') }} as snapshot
    -- an array, so that the index is used; a join would read all days of all deals
    where snapshot.deal_id = any((select deleted_deals.ids from deleted_deals)::bigint[])
    group by
        snapshot.date_day,
        coalesce(snapshot.pipeline_id, 0),
        coalesce(snapshot.stage_id, 0),
        coalesce(snapshot.owner_id, 0)
)

select
    days.date_day,
    nullif(days.pipeline_id, 0) as pipeline_id,
    nullif(days.stage_id, 0) as stage_id,
    case when days.owner_id <> 0 then coalesce(users.user_id, -1) end as owner_id,
    sum(days.open_count)::integer as open_count,
    sum(days.open_value_base) as open_value_base,
    sum(days.weighted_value_base) as weighted_value_base,
    sum(days.commit_value_base) as commit_value_base,
    sum(days.n_without_rate)::integer as deals_without_rate,
    coalesce(sum(deleted.n_deals), 0)::integer as n_deleted_since
from days
left join deleted
    on
        days.date_day = deleted.date_day
        and days.pipeline_id = deleted.pipeline_id
        and days.stage_id = deleted.stage_id
        and days.owner_id = deleted.owner_id
left join {{ ref('dim_user') }} as users on days.owner_id = users.user_id
group by
    days.date_day, days.pipeline_id, days.stage_id,
    case when days.owner_id <> 0 then coalesce(users.user_id, -1) end
