{#-
    Outcomes of visits to a stage, by the month in which they ended. Only the first visit of each deal counts;
    running visits do not.
-#}
with visits as (
    select
        reached.first_exited_month as month,
        reached.pipeline_id,
        reached.stage_id,
        coalesce(users.user_id, -1) as owner_id,
        reached.first_exit_outcome,
        reached.is_measured,
        reached.first_exited_at - reached.first_entered_at as stayed,
        -- to two decimals; as numeric this takes three times as long
        round(date_part('epoch', reached.first_exited_at - reached.first_entered_at) / 864) / 100 as days
    from {{ ref('fct_deal_stage_reached') }} as reached
    left join {{ ref('dim_user') }} as users on reached.closing_owner_id = users.user_id
    where
        reached.entered_directly
        and reached.counted_as is not null
        and reached.first_exit_outcome in ('advanced', 'back', 'pipeline', 'won', 'lost')
),

counted as (
    select
        month,
        pipeline_id,
        stage_id,
        owner_id,
        count(*) as n_exited,
        count(*) filter (where first_exit_outcome in ('advanced', 'won')) as n_advanced,
        count(*) filter (where first_exit_outcome = 'won') as n_won,
        count(*) filter (where first_exit_outcome = 'lost') as n_lost,
        count(*) filter (where first_exit_outcome = 'back') as n_back,
        count(*) filter (where first_exit_outcome = 'pipeline') as n_moved_pipeline,
        count(*) filter (where is_measured) as n_timed,
        -- intervals are added, which is exact and faster than adding numbers
        extract(epoch from sum(stayed) filter (where is_measured)) / 86400 as days_in_stage,
        array_agg(days order by days) filter (where is_measured) as days_of_visits
    from visits
    group by month, pipeline_id, stage_id, owner_id
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
    coalesce(round(counted.days_in_stage, 3), 0) as days_in_stage,
    coalesce(counted.days_of_visits, '{}')::double precision[] as days_of_visits
from counted
left join {{ ref('dim_stage') }} as stages on counted.stage_id = stages.stage_id
