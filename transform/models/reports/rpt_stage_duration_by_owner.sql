{#- How long the deals of each owner stay. Finished stays only, as in rpt_stage_duration. -#}
with stays as (
    {{ stage_stays() }}
)

select
    stages.stage_id,
    stages.pipeline_id,
    stages.name as stage_name,
    stages.stage_rank,
    stays.owner_id,
    count(*)::integer as n_stays,
    round((percentile_cont(0.5) within group (order by stays.days))::numeric, 3) as median_days,
    round((percentile_cont(0.9) within group (order by stays.days))::numeric, 3) as p90_days
from stays
inner join {{ ref('dim_stage') }} as stages on stays.stage_id = stages.stage_id
where stays.is_finished
group by stages.stage_id, stages.pipeline_id, stages.name, stages.stage_rank, stays.owner_id
