{#-
    Outcomes of visits to a stage, by the month in which they ended. Only the first visit of each deal counts;
    running visits do not.
-#}
-- fct_deal_stage_reached writes the sums: {{ ref('fct_deal_stage_reached') }}
with counted as (
    select
        sums.month,
        sums.pipeline_id,
        sums.stage_id,
        coalesce(users.user_id, -1) as owner_id,
        sum(sums.n_exited) as n_exited,
        sum(sums.n_advanced) as n_advanced,
        sum(sums.n_won) as n_won,
        sum(sums.n_lost) as n_lost,
        sum(sums.n_back) as n_back,
        sum(sums.n_moved_pipeline) as n_moved_pipeline,
        sum(sums.n_timed) as n_timed,
        sum(sums.stage_s) / 86400 as days_in_stage
    from {{ ref('int_stage_exit_sums') }} as sums
    left join {{ ref('dim_user') }} as users on sums.owner_id = users.user_id
    group by sums.month, sums.pipeline_id, sums.stage_id, coalesce(users.user_id, -1)
)

select
    counted.month,
    counted.pipeline_id,
    counted.stage_id,
    stages.name as stage_name,
    stages.stage_rank,
    counted.owner_id,
    counted.n_exited::integer as n_exited,
    counted.n_advanced::integer as n_advanced,
    counted.n_won::integer as n_won,
    counted.n_lost::integer as n_lost,
    counted.n_back::integer as n_back,
    counted.n_moved_pipeline::integer as n_moved_pipeline,
    {{ ratio('counted.n_advanced', 'counted.n_exited') }} as stage_conversion_exited,
    counted.n_timed::integer as n_timed,
    round(counted.days_in_stage, 3) as days_in_stage
from counted
left join {{ ref('dim_stage') }} as stages on counted.stage_id = stages.stage_id
