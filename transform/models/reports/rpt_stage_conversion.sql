{#-
    Outcomes of visits to a stage, by the month in which they ended. Only the first visit of each deal counts;
    running visits do not.
-#}
with counted as (
    select
        first_exited_month as month,
        pipeline_id,
        stage_id,
        count(*) as n_exited,
        count(*) filter (where first_exit_outcome in ('advanced', 'won')) as n_advanced,
        count(*) filter (where first_exit_outcome = 'won') as n_won,
        count(*) filter (where first_exit_outcome = 'lost') as n_lost,
        count(*) filter (where first_exit_outcome = 'back') as n_back,
        count(*) filter (where first_exit_outcome = 'pipeline') as n_moved_pipeline
    from {{ ref('fct_deal_stage_reached') }}
    where
        entered_directly
        and counted_as is not null
        and first_exit_outcome in ('advanced', 'back', 'pipeline', 'won', 'lost')
    group by first_exited_month, pipeline_id, stage_id
)

select
    counted.month,
    counted.pipeline_id,
    counted.stage_id,
    stages.name as stage_name,
    stages.stage_rank,
    counted.n_exited::integer as n_exited,
    counted.n_advanced::integer as n_advanced,
    counted.n_won::integer as n_won,
    counted.n_lost::integer as n_lost,
    counted.n_back::integer as n_back,
    counted.n_moved_pipeline::integer as n_moved_pipeline,
    {{ ratio('counted.n_advanced', 'counted.n_exited') }} as stage_conversion_exited
from counted
left join {{ ref('dim_stage') }} as stages on counted.stage_id = stages.stage_id
