{#- Effort per won deal: activities done before the deal was won, by the month in which it was won. -#}
with won as (
    select
        deal_id,
        closed_month,
        coalesce(pipeline_id, -1) as pipeline_id,
        coalesce(closing_owner_id, -1) as owner_id,
        won_time
    from {{ ref('int_counted_deals') }}
    where is_won
),

activities as (
    select
        deal_id,
        done_at,
        activity_type in (
            {{ outbound_activity_types() }}
        )
            as is_outbound -- noqa: LT05
    from {{ ref('int_activities') }}
    where is_done and not is_deleted and deal_id is not null
),

per_deal as (
    select
        won.deal_id,
        won.closed_month,
        won.pipeline_id,
        won.owner_id,
        count(activities.deal_id) as n_activities,
        count(activities.deal_id) filter (where activities.is_outbound) as n_touches
    from won
    left join activities on won.deal_id = activities.deal_id and won.won_time >= activities.done_at
    group by won.deal_id, won.closed_month, won.pipeline_id, won.owner_id
)

select
    closed_month as month,
    pipeline_id,
    owner_id,
    count(*)::integer as n_won,
    sum(n_activities)::integer as n_activities,
    {{ ratio('sum(n_activities)', 'count(*)') }} as activities_per_won_deal,
    sum(n_touches)::integer as n_touches,
    {{ ratio('sum(n_touches)', 'count(*)') }} as touches_per_won_deal,
    round((percentile_cont(0.5) within group (order by n_touches))::numeric, 1) as median_touches_to_win
from per_deal
group by closed_month, pipeline_id, owner_id
