{#-
    Of the deals that entered a pipeline in a month, how many reached each stage. A skipped stage counts as reached;
    `reached_strict` counts only deals that were really in it.
-#}
{#- A view: its inputs are small, so that reading it takes about as long as reading a table. -#}
{{ config(materialized='published_view') }}
-- fct_deal_stage_reached writes the sums: {{ ref('fct_deal_stage_reached') }}
with counted as (
    select
        sums.month as cohort_month,
        sums.pipeline_id,
        sums.stage_id,
        coalesce(users.user_id, -1) as owner_id,
        sum(sums.n_came_in) as n_came_in,
        sum(sums.n_reached) as n_reached,
        sum(sums.n_reached_strict) as n_reached_strict,
        sum(sums.n_won_past) as n_won_past
    from {{ ref('int_stage_funnel_sums') }} as sums
    left join {{ ref('dim_user') }} as users on sums.owner_id = users.user_id
    group by sums.month, sums.pipeline_id, sums.stage_id, coalesce(users.user_id, -1)
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
