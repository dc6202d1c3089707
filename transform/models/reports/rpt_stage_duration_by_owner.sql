{#-
    Duration of stays by owner. Finished stays only, as in rpt_stage_duration. A view: no dashboard reads it, so it is
    computed when someone asks.
-#}
{{ config(materialized='published_view') }}
-- int_deal_stage_intervals writes the sums: {{ ref('int_deal_stage_intervals') }}
with stays as (
    select
        sums.stage_id,
        coalesce(users.user_id, -1) as owner_id,
        sums.n_stays,
        sums.days_of_stays
    from {{ ref('int_stage_stay_sums') }} as sums
    left join {{ ref('dim_user') }} as users on sums.owner_id = users.user_id
),

counted as (
    select
        stage_id,
        owner_id,
        sum(n_stays) as n_stays
    from stays
    group by stage_id, owner_id
)

select
    stages.stage_id,
    stages.pipeline_id,
    stages.name as stage_name,
    stages.stage_rank,
    counted.owner_id,
    counted.n_stays::integer as n_stays,
    round(stay.percentiles[1]::numeric, 3) as median_days,
    round(stay.percentiles[2]::numeric, 3) as p90_days
from counted
inner join {{ ref('dim_stage') }} as stages on counted.stage_id = stages.stage_id
-- a left join: it is left out when nobody reads the percentiles
left join lateral (
    select {{ percentiles('listed.days', [0.5, 0.9]) }} as percentiles
    from stays
    cross join lateral unnest(stays.days_of_stays) as listed (days)
    where stays.stage_id = counted.stage_id and stays.owner_id = counted.owner_id
) as stay on true
