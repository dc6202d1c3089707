with moves as (
    select
        {{ month_of(local_date('history.valid_from')) }} as month,
        history.pipeline_id,
        deals.owner_id,
        history.deal_id,
        history.move_type
    from {{ ref('fct_deal_stage_history') }} as history
    inner join {{ ref('int_counted_deals') }} as deals on history.deal_id = deals.deal_id
    where history.move_type is not null
),

counted as (
    select
        month,
        pipeline_id,
        owner_id,
        count(*) as n_moves,
        count(*) filter (where move_type in ('forward', 'skip')) as n_forward,
        count(*) filter (where move_type = 'skip') as n_skips,
        count(*) filter (where move_type = 'backward') as n_regressions,
        count(distinct deal_id) filter (where move_type = 'backward') as n_deals_with_regression,
        count(*) filter (where move_type = 'pipeline') as n_pipeline_moves
    from moves
    group by month, pipeline_id, owner_id
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
