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
),

counted as (
    select
        closed_month as month,
        pipeline_id,
        owner_id,
        count(*) as n_won,
        sum(n_activities) as n_activities,
        sum(n_touches) as n_touches,
        array_agg(n_touches) as touches
    from per_deal
    group by closed_month, pipeline_id, owner_id
)

select
    counted.month,
    counted.pipeline_id,
    counted.owner_id,
    counted.n_won::integer as n_won,
    counted.n_activities::integer as n_activities,
    {{ ratio('counted.n_activities', 'counted.n_won') }} as activities_per_won_deal,
    counted.n_touches::integer as n_touches,
    {{ ratio('counted.n_touches', 'counted.n_won') }} as touches_per_won_deal,
    round(effort.percentiles[1]::numeric, 1) as median_touches_to_win
from counted
cross join {{ percentiles_of('counted.touches', [0.5]) }} as effort
