{#- Of the deals that first entered a stage in a month, which share ever got further, or was won. -#}
with entries as (
    select
        reached.deal_id,
        reached.pipeline_id,
        reached.stage_id,
        stages.order_nr,
        reached.first_entered_at,
        deals.is_won,
        deals.is_open
    from {{ ref('fct_deal_stage_reached') }} as reached
    inner join {{ ref('int_counted_deals') }} as deals on reached.deal_id = deals.deal_id
    inner join {{ ref('dim_stage') }} as stages on reached.stage_id = stages.stage_id
    where reached.entered_directly
),

compared as (
    select
        *,
        max(order_nr) over (partition by deal_id, pipeline_id) as highest_order_nr
    from entries
),

counted as (
    select
        {{ month_of(local_date('first_entered_at')) }} as cohort_month,
        pipeline_id,
        stage_id,
        count(*) as n_entered,
        count(*) filter (where highest_order_nr > order_nr or is_won) as n_progressed,
        count(*) filter (where is_open and not coalesce(highest_order_nr > order_nr, false)) as n_still_open
    from compared
    group by cohort_month, pipeline_id, stage_id
)

select
    counted.cohort_month,
    counted.pipeline_id,
    counted.stage_id,
    stages.name as stage_name,
    stages.stage_rank,
    counted.n_entered::integer as n_entered,
    counted.n_progressed::integer as n_progressed,
    counted.n_still_open::integer as n_still_open,
    {{ ratio('counted.n_progressed', 'counted.n_entered') }} as stage_conversion_entered_cohort,
    {{ ratio('counted.n_still_open', 'counted.n_entered') }} as pct_open
from counted
inner join {{ ref('dim_stage') }} as stages on counted.stage_id = stages.stage_id
