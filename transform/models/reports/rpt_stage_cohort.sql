{#- Of the deals that first entered a stage in a month, the share that later reached a further stage or was won. -#}
{#- A view: its inputs are small, so that reading it takes about as long as reading a table. -#}
{{ config(materialized='published_view') }}
-- fct_deal_stage_reached writes the sums: {{ ref('fct_deal_stage_reached') }}
with counted as (
    select
        sums.month as cohort_month,
        sums.pipeline_id,
        sums.stage_id,
        coalesce(users.user_id, -1) as owner_id,
        sum(sums.n_entered) as n_entered,
        sum(sums.n_progressed) as n_progressed,
        sum(sums.n_still_open) as n_still_open
    from {{ ref('int_stage_entry_sums') }} as sums
    left join {{ ref('dim_user') }} as users on sums.owner_id = users.user_id
    group by sums.month, sums.pipeline_id, sums.stage_id, coalesce(users.user_id, -1)
)

select
    counted.cohort_month,
    counted.pipeline_id,
    counted.stage_id,
    stages.name as stage_name,
    stages.stage_rank,
    counted.owner_id,
    counted.n_entered::integer as n_entered,
    counted.n_progressed::integer as n_progressed,
    counted.n_still_open::integer as n_still_open,
    {{ ratio('counted.n_progressed', 'counted.n_entered') }} as stage_conversion_entered_cohort,
    {{ ratio('counted.n_still_open', 'counted.n_entered') }} as pct_open
from counted
inner join {{ ref('dim_stage') }} as stages on counted.stage_id = stages.stage_id
