{#- Duration of stays. Only finished stays count for the benchmark: running stays would make it too short. -#}
{#- Most rows of two tables are read; by index, PostgreSQL's choice, that takes six times as long. -#}
{{ config(pre_hook="set local enable_indexscan = off") }}
with stays as (
    {{ measured_stays(until='coalesce(valid_to, ' ~ as_of() ~ ')') }}
),

stayed as (
    select
        stage_id,
        count(*) filter (where is_over) as n_stays,
        avg(days) filter (where is_over) as mean_days,
        array_agg(days) filter (where is_over) as finished_days,
        count(*) filter (where not is_over) as n_running,
        array_agg(days) filter (where not is_over) as running_days
    from stays
    group by stage_id
),

-- Several stays of a deal in a stage are added up, once none of them is running.
totals as (
    select
        stage_id,
        count(*) as n_deals,
        array_agg(total_open_s::double precision / 86400) as days
    from {{ ref('fct_deal_stage_reached') }}
    where
        total_open_s > 0
        and open_since is null
        and is_measured
        and counted_as is not null
    group by stage_id
)

select
    stages.stage_id,
    stages.pipeline_id,
    stages.name as stage_name,
    stages.stage_rank,
    coalesce(stayed.n_stays, 0)::integer as n_stays,
    round(stayed.mean_days::numeric, 3) as mean_days,
    round(finished.percentiles[1]::numeric, 3) as median_days,
    round(finished.percentiles[2]::numeric, 3) as p75_days,
    round(finished.percentiles[3]::numeric, 3) as p90_days,
    coalesce(totals.n_deals, 0)::integer as n_deals,
    round(total.percentiles[1]::numeric, 3) as median_total_days,
    round(total.percentiles[2]::numeric, 3) as p75_total_days,
    round(total.percentiles[3]::numeric, 3) as p90_total_days,
    coalesce(stayed.n_running, 0)::integer as n_running,
    round(running.percentiles[1]::numeric, 3) as median_running_days
from {{ ref('dim_stage') }} as stages
left join stayed on stages.stage_id = stayed.stage_id
left join totals on stages.stage_id = totals.stage_id
cross join {{ percentiles_of('stayed.finished_days') }} as finished
cross join {{ percentiles_of('stayed.running_days', [0.5]) }} as running
cross join {{ percentiles_of('totals.days') }} as total
where stages.stage_id <> -1
