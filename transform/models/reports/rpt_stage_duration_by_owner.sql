{#-
    Duration of stays by owner. Finished stays only, as in rpt_stage_duration. A view: no dashboard reads it, so it is
    computed when someone asks.
-#}
{{ config(materialized='published_view') }}
with stays as (
    {{ finished_stays() }}
),

measured as (
    select
        stays.stage_id,
        coalesce(users.user_id, -1) as owner_id,
        count(*) as n_stays,
        array_agg(stays.days) as days
    from stays
    left join {{ ref('dim_user') }} as users on stays.owner_id = users.user_id
    group by stays.stage_id, coalesce(users.user_id, -1)
)

select
    stages.stage_id,
    stages.pipeline_id,
    stages.name as stage_name,
    stages.stage_rank,
    measured.owner_id,
    measured.n_stays::integer as n_stays,
    round(stay.percentiles[1]::numeric, 3) as median_days,
    round(stay.percentiles[2]::numeric, 3) as p90_days
from measured
inner join {{ ref('dim_stage') }} as stages on measured.stage_id = stages.stage_id
-- a left join: it is left out when nobody reads the percentiles
left join {{ percentiles_of('measured.days', [0.5, 0.9]) }} as stay on true
