{#-
    Outcomes of visits to a stage, by the month in which they ended. Only the first visit of each deal counts;
    running visits do not. A view of sums: nothing has to be counted. fct_deal_stage_reached writes the sums.
-#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('fct_deal_stage_reached') }}
with sums as (
    select
        exits.*,
        users.user_id is not null and users.user_id <> -1 as is_known_owner
    from {{ ref('int_stage_exit_sums') }} as exits
    left join {{ ref('dim_user') }} as users on exits.owner_id = users.user_id
),

-- Rows of a known owner, nearly all, are one per month and stage.
counted as (
    select
        month,
        pipeline_id,
        stage_id,
        owner_id,
        n_exited,
        n_won,
        n_lost,
        n_back,
        n_moved_pipeline,
        n_timed,
        stayed_s,
        days_of_visits
    from sums
    where is_known_owner
    union all
    select
        month,
        pipeline_id,
        stage_id,
        -1 as owner_id,
        sum(n_exited) as n_exited,
        sum(n_won) as n_won,
        sum(n_lost) as n_lost,
        sum(n_back) as n_back,
        sum(n_moved_pipeline) as n_moved_pipeline,
        sum(n_timed) as n_timed,
        sum(stayed_s) as stayed_s,
        array(
            select visits.days
            from sums as others
            cross join lateral unnest(others.days_of_visits) as visits (days)
            where
                not others.is_known_owner
                and others.month = sums.month
                and others.pipeline_id = sums.pipeline_id
                and others.stage_id = sums.stage_id
            order by visits.days
        ) as days_of_visits
    from sums
    where not is_known_owner
    group by month, pipeline_id, stage_id
)

select
    counted.month,
    counted.pipeline_id,
    counted.stage_id,
    stages.name as stage_name,
    stages.stage_rank,
    counted.owner_id,
    counted.n_exited::integer as n_exited,
    (counted.n_exited - counted.n_lost - counted.n_back - counted.n_moved_pipeline)::integer as n_advanced,
    counted.n_won::integer as n_won,
    counted.n_lost::integer as n_lost,
    counted.n_back::integer as n_back,
    counted.n_moved_pipeline::integer as n_moved_pipeline,
    {{ ratio('counted.n_exited - counted.n_lost - counted.n_back - counted.n_moved_pipeline', 'counted.n_exited') }}
        as stage_conversion_exited,
    counted.n_timed::integer as n_timed,
    round(counted.stayed_s / 86400, 3) as days_in_stage,
    counted.days_of_visits
from counted
left join {{ ref('dim_stage') }} as stages on counted.stage_id = stages.stage_id
