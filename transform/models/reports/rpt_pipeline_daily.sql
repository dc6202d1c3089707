{#- A view: its inputs are small, so that reading it takes about as long as reading a table. -#}
{{ config(materialized='published_view') }}
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
),

counted as not materialized (
    select
        days.date_day,
        nullif(days.pipeline_id, 0) as pipeline_id,
        nullif(days.stage_id, 0) as stage_id,
        nullif(days.owner_id, 0) as owner_id,
        days.owner_id = 0 or users.user_id is not null as is_known_owner,
        days.open_count,
        days.open_value_base,
        days.weighted_value_base,
        days.commit_value_base,
        days.n_without_rate,
        coalesce(deleted.n_deals, 0) as n_deleted
    from days
    left join deleted
        on
            days.date_day = deleted.date_day
            and days.pipeline_id = deleted.pipeline_id
            and days.stage_id = deleted.stage_id
            and days.owner_id = deleted.owner_id
    left join {{ ref('dim_user') }} as users on days.owner_id = users.user_id
)

-- Rows of a known owner, nearly all, are one per day, stage and owner: adding up all of them takes twice as long.
select
    date_day,
    pipeline_id,
    stage_id,
    owner_id,
    open_count::integer as open_count,
    open_value_base,
    weighted_value_base,
    commit_value_base,
    n_without_rate::integer as deals_without_rate,
    n_deleted::integer as n_deleted_since
from counted
where is_known_owner
union all
select
    date_day,
    pipeline_id,
    stage_id,
    -1::bigint as owner_id,
    sum(open_count)::integer as open_count,
    sum(open_value_base) as open_value_base,
    sum(weighted_value_base) as weighted_value_base,
    sum(commit_value_base) as commit_value_base,
    sum(n_without_rate)::integer as deals_without_rate,
    sum(n_deleted)::integer as n_deleted_since
from counted
where not is_known_owner
group by date_day, pipeline_id, stage_id
