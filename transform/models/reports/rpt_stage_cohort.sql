{#- Of the deals that first entered a stage in a month, the share that later reached a further stage or was won. -#}
with counted as (
    select
        first_entered_month as cohort_month,
        pipeline_id,
        stage_id,
        count(*) as n_entered,
        count(*) filter (where has_got_further or counted_as = 'won') as n_progressed,
        count(*) filter (where counted_as = 'open' and not has_got_further) as n_still_open
    from {{ ref('fct_deal_stage_reached') }}
    where entered_directly and counted_as is not null
    group by first_entered_month, pipeline_id, stage_id
)

select
    counted.cohort_month,
    counted.pipeline_id,
    counted.stage_id,
    stages.name as stage_name,
    stages.stage_rank,
    counted.n_entered::integer as n_entered,
    counted.n_progressed::integer as n_progressed,
    counted.n_still_open::integer as n_still_open,
    {{ ratio('counted.n_progressed', 'counted.n_entered') }} as stage_conversion_entered_cohort,
    {{ ratio('counted.n_still_open', 'counted.n_entered') }} as pct_open
from counted
inner join {{ ref('dim_stage') }} as stages on counted.stage_id = stages.stage_id
