with days as (
    select * from {{ ref('fct_deal_daily_snapshot') }}
),

deleted as (
    select deal_id from {{ ref('fct_deal') }}
    where is_deleted
)

select
    days.date_day,
    days.pipeline_id,
    days.stage_id,
    case when days.owner_id is not null then coalesce(users.user_id, -1) end as owner_id,
    count(*)::integer as open_count,
    coalesce(sum(days.value_base), 0) as open_value_base,
    coalesce(sum(days.weighted_value_base), 0) as weighted_value_base,
    (count(*) filter (where days.fx_missing))::integer as n_without_rate,
    -- deals deleted since: they were there then
    count(deleted.deal_id)::integer as n_deleted_since
from days
left join deleted on days.deal_id = deleted.deal_id
left join {{ ref('dim_user') }} as users on days.owner_id = users.user_id
group by
    days.date_day, days.pipeline_id, days.stage_id,
    case when days.owner_id is not null then coalesce(users.user_id, -1) end
