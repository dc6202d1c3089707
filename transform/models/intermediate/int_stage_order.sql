{#- The position of each stage in its pipeline, counting active stages only. -#}
{{ config(materialized='published_view') }}
with stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

ranked as (
    select
        stage_id,
        row_number() over (partition by pipeline_id order by order_nr, stage_id) as stage_rank
    from stages
    where not is_deleted
)

select
    stages.stage_id,
    stages.pipeline_id,
    stages.order_nr,
    ranked.stage_rank
from stages
left join ranked on stages.stage_id = ranked.stage_id
