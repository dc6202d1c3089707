{#-
    Duration of stays by label; a deal with two labels counts for both. Finished stays only, as in
    rpt_stage_duration. A view: no dashboard reads it, so it is computed when someone asks.
-#}
{{ config(materialized='published_view') }}
with stays as (
    select
        deal_id,
        stage_id,
        {{ days_of_stay() }} as days
    from {{ ref('int_deal_stage_intervals') }}
    where valid_to is not null and {{ is_measured_stay() }}
),

measured as (
    select
        stays.stage_id,
        labels.label,
        count(*) as n_stays,
        array_agg(stays.days) as days
    from stays
    inner join {{ ref('fct_deal_label') }} as labels on stays.deal_id = labels.deal_id
    group by stays.stage_id, labels.label
)

select
    stages.stage_id,
    stages.pipeline_id,
    stages.name as stage_name,
    stages.stage_rank,
    measured.label,
    measured.n_stays::integer as n_stays,
    round(stay.percentiles[1]::numeric, 3) as median_days,
    round(stay.percentiles[2]::numeric, 3) as p90_days
from measured
inner join {{ ref('dim_stage') }} as stages on measured.stage_id = stages.stage_id
-- a left join: it is left out when nobody reads the percentiles
left join {{ percentiles_of('measured.days', [0.5, 0.9]) }} as stay on true
