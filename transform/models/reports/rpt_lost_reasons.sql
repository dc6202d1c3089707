with lost as (
    select
        deals.closed_month as month,
        coalesce(deals.pipeline_id, -1) as pipeline_id,
        -- a deal is lost in its last open stage
        deals.stage_id as last_open_stage_id,
        coalesce(deals.closing_owner_id, -1) as owner_id,
        reasons.reason_group,
        reasons.label as reason,
        reasons.is_given,
        deals.value_base,
        deals.fx_missing
    from {{ ref('int_counted_deals') }} as deals
    left join {{ ref('dim_lost_reason') }} as reasons on deals.lost_reason_norm = reasons.lost_reason_norm
    where deals.is_lost
),

counted as (
    select
        month,
        pipeline_id,
        last_open_stage_id,
        owner_id,
        reason_group,
        reason,
        is_given,
        count(*) as n_lost,
        coalesce(sum(value_base), 0) as lost_value_base,
        {{ deals_without_rate() }} as deals_without_rate
    from lost
    group by month, pipeline_id, last_open_stage_id, owner_id, reason_group, reason, is_given
)

select
    month,
    pipeline_id,
    last_open_stage_id,
    owner_id,
    reason_group,
    reason,
    is_given,
    n_lost::integer as n_lost,
    lost_value_base,
    (sum(n_lost) over (partition by month, pipeline_id))::integer as n_lost_in_pipeline_month,
    {{ ratio('n_lost', 'sum(n_lost) over (partition by month, pipeline_id)') }} as lost_reason_share,
    deals_without_rate
from counted
