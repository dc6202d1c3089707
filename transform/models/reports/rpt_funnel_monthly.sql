{#-
    Of the deals that entered a pipeline in a month, how many reached each stage. A skipped stage counts as reached;
    `reached_strict` counts only deals that were really in it.
-#}
with counted as (
    select
        reached.pipeline_entered_month as cohort_month,
        reached.pipeline_id,
        reached.stage_id,
        coalesce(deals.closing_owner_id, -1) as owner_id,
        count(*) filter (where reached.is_pipeline_entry) as n_came_in,
        count(*) as n_reached,
        count(*) filter (where reached.entered_directly) as n_reached_strict,
        count(*) filter (where reached.reached_by = 'won') as n_won_past
    from {{ ref('fct_deal_stage_reached') }} as reached
    inner join {{ ref('int_counted_deals') }} as deals on reached.deal_id = deals.deal_id
    where reached.counted_as is not null and reached.pipeline_entered_month is not null
    group by reached.pipeline_entered_month, reached.pipeline_id, reached.stage_id, coalesce(deals.closing_owner_id, -1)
),

cohorts as (
    select
        cohort_month,
        pipeline_id,
        owner_id,
        sum(n_came_in) as n_entered
    from counted
    group by cohort_month, pipeline_id, owner_id
)

select
    cohorts.cohort_month,
    cohorts.pipeline_id,
    stages.stage_id,
    stages.name as stage_name,
    stages.stage_rank,
    cohorts.owner_id,
    cohorts.n_entered::integer as n_entered,
    coalesce(counted.n_reached, 0)::integer as n_reached_implied,
    coalesce(counted.n_reached_strict, 0)::integer as n_reached_strict,
    coalesce(counted.n_won_past, 0)::integer as n_won_past,
    coalesce(
        counted.{{ 'n_reached_strict' if var('funnel_mode') == 'strict' else 'n_reached' }}, 0
    )::integer as n_reached,
    {{ ratio(
        'coalesce(counted.' ~ ('n_reached_strict' if var('funnel_mode') == 'strict' else 'n_reached') ~ ', 0)',
        'cohorts.n_entered'
    ) }} as stage_reached_rate
from cohorts
inner join {{ ref('dim_stage') }} as stages on cohorts.pipeline_id = stages.pipeline_id and stages.is_active
left join counted
    on
        cohorts.cohort_month = counted.cohort_month
        and stages.stage_id = counted.stage_id
        and cohorts.owner_id = counted.owner_id
