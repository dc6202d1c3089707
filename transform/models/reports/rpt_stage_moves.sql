{#- How deals moved. A view of sums: nothing has to be counted. int_deal_stage_intervals writes the sums. -#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('int_deal_stage_intervals') }}
with counted as (
    select
        moves.month,
        nullif(moves.pipeline_id, 0) as pipeline_id,
        case when moves.owner_id <> 0 then coalesce(users.user_id, -1) end as owner_id,
        sum(moves.n_moves) as n_moves,
        sum(moves.n_forward) as n_forward,
        sum(moves.n_skips) as n_skips,
        sum(moves.n_regressions) as n_regressions,
        sum((
            select count(distinct regressions.deal_id)
            from unnest(moves.deals_of_regressions) as regressions (deal_id)
        )) as n_deals_with_regression,
        sum(moves.n_pipeline_moves) as n_pipeline_moves
    from {{ ref('int_stage_move_sums') }} as moves
    left join {{ ref('dim_user') }} as users on moves.owner_id = users.user_id
    group by
        moves.month,
        nullif(moves.pipeline_id, 0),
        case when moves.owner_id <> 0 then coalesce(users.user_id, -1) end
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
