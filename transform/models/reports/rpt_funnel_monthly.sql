{#-
    Of the deals that entered a pipeline in a month, how many reached each stage. A skipped stage counts as reached;
    `reached_strict` counts only deals that were really in it.
-#}
with counted as (
    select
        pipeline_entered_month as cohort_month,
        pipeline_id,
        stage_id,
        count(*) filter (where is_pipeline_entry) as n_came_in,
        count(*) as n_reached,
        count(*) filter (where entered_directly) as n_reached_strict,
        count(*) filter (where reached_by = 'won') as n_won_past
    from {{ ref('fct_deal_stage_reached') }}
    where counted_as is not null and pipeline_entered_month is not null
    group by pipeline_entered_month, pipeline_id, stage_id
),

cohorts as (
    select
        cohort_month,
        pipeline_id,
        sum(n_came_in) as n_entered
    from counted
    group by cohort_month, pipeline_id
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
