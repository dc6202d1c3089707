{#- How often, and by how many days, expected close dates were changed. A first date is not a change. -#}
with moves as (
    select
        deal_id,
        month,
        count(*) filter (where days > 0) as n_pushes,
        coalesce(sum(days) filter (where days > 0), 0) as days_pushed,
        count(*) filter (where days < 0) as n_pulls,
        coalesce(sum(-days) filter (where days < 0), 0) as days_pulled
    from {{ ref('int_deal_close_date_moves') }}
    group by deal_id, month
),

per_deal as (
    select
        moves.*,
        coalesce(deals.pipeline_id, -1) as pipeline_id,
        coalesce(deals.owner_id, -1) as owner_id,
        deals.value_base,
        deals.fx_missing
    from moves
    inner join {{ ref('int_counted_deals') }} as deals on moves.deal_id = deals.deal_id
)

select
    month,
    pipeline_id,
    owner_id,
    (count(*) filter (where n_pushes > 0))::integer as n_deals_pushed,
    sum(n_pushes)::integer as n_pushes,
    sum(days_pushed)::integer as days_pushed,
    coalesce(sum(value_base) filter (where n_pushes > 0), 0) as pushed_value_base,
    {{ ratio('sum(days_pushed)', 'sum(n_pushes)') }} as avg_days_per_push,
    (count(*) filter (where n_pulls > 0))::integer as n_deals_pulled,
    sum(n_pulls)::integer as n_pulls,
    sum(days_pulled)::integer as days_pulled,
    {{ deals_without_rate('n_pushes > 0') }} as deals_without_rate
from per_deal
group by month, pipeline_id, owner_id
