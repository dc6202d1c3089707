{#-
    Of the deals that came into a pipeline in a month, how many reached each stage. A skipped stage was passed;
    `reached_strict` counts only deals that really stood there.
-#}
with reached as (
    select
        reached.deal_id,
        reached.pipeline_id,
        reached.stage_id,
        reached.entered_directly,
        reached.passed_through,
        reached.reached_by,
        min(reached.first_entered_at) over (partition by reached.deal_id, reached.pipeline_id) as entered_pipeline_at
    from {{ ref('fct_deal_stage_reached') }} as reached
    inner join {{ ref('int_counted_deals') }} as deals on reached.deal_id = deals.deal_id
),

dated as (
    select
        *,
        {{ month_of(local_date('entered_pipeline_at')) }} as cohort_month
    from reached
    where entered_pipeline_at is not null
),

cohorts as (
    select
        cohort_month,
        pipeline_id,
        count(distinct deal_id) as n_entered
    from dated
    group by cohort_month, pipeline_id
),

counted as (
    select
        cohort_month,
        stage_id,
        count(*) as n_reached,
        count(*) filter (where entered_directly) as n_reached_strict,
        count(*) filter (where reached_by = 'won') as n_won_past
    from dated
    group by cohort_month, stage_id
)

select
    cohorts.cohort_month,
    cohorts.pipeline_id,
    stages.stage_id,
    stages.name as stage_name,
    stages.stage_rank,
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
left join counted on cohorts.cohort_month = counted.cohort_month and stages.stage_id = counted.stage_id
