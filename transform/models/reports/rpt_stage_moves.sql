with moves as (
    select
        began_month,
        pipeline_id,
        owner_id,
        count(*) as n_moves,
        count(*) filter (where move_type in ('forward', 'skip')) as n_forward,
        count(*) filter (where move_type = 'skip') as n_skips,
        count(*) filter (where move_type = 'backward') as n_regressions,
        count(*) filter (where move_type = 'pipeline') as n_pipeline_moves
    from {{ ref('int_deal_stage_intervals') }}
    where move_type is not null and counted_as is not null
    group by began_month, pipeline_id, owner_id
),

-- A separate aggregation: counting distinct values sorts, and these rows are few.
regressions as (
    select
        began_month,
        pipeline_id,
        owner_id,
        count(distinct deal_id) as n_deals
    from {{ ref('int_deal_stage_intervals') }}
    where move_type = 'backward' and counted_as is not null
    group by began_month, pipeline_id, owner_id
),

counted as (
    select
        moves.began_month as month,
        moves.pipeline_id,
        case when moves.owner_id is not null then coalesce(users.user_id, -1) end as owner_id,
        sum(moves.n_moves) as n_moves,
        sum(moves.n_forward) as n_forward,
        sum(moves.n_skips) as n_skips,
        sum(moves.n_regressions) as n_regressions,
        coalesce(sum(regressions.n_deals), 0) as n_deals_with_regression,
        sum(moves.n_pipeline_moves) as n_pipeline_moves
    from moves
    left join regressions
        on
            moves.began_month = regressions.began_month
            and moves.pipeline_id is not distinct from regressions.pipeline_id
            and moves.owner_id is not distinct from regressions.owner_id
    left join {{ ref('dim_user') }} as users on moves.owner_id = users.user_id
    group by
        moves.began_month,
        moves.pipeline_id,
        case when moves.owner_id is not null then coalesce(users.user_id, -1) end
)

select
    month,
    pipeline_id,
    owner_id,
    n_moves::integer as n_moves,
    n_forward::integer as n_forward,
    n_skips::integer as n_skips,
    {{ ratio('n_skips', 'n_forward') }} as skip_rate,
    n_regressions::integer as n_regressions,
    n_deals_with_regression::integer as n_deals_with_regression,
    n_pipeline_moves::integer as n_pipeline_moves
from counted
