{#-
    Duration of stays. Only finished stays count for the benchmark: running stays would make it too short. A view: no
    dashboard reads it, so it is computed when someone asks.
-#}
{{ config(materialized='published_view') }}
-- int_deal_stage_intervals writes the sums: {{ ref('int_deal_stage_intervals') }}
with stays as (
    select * from {{ ref('int_stage_stay_sums') }}
),

finished as (
    select
        stage_id,
        sum(n_stays) as n_stays,
        sum(stayed_s) / 86400 / sum(n_stays) as mean_days
    from stays
    group by stage_id
),

running as (
    select
        stage_id,
        count(*) as n_running,
        array_agg({{ days_of_stay(until=as_of()) }}) as days
    from {{ ref('int_deal_stage_intervals') }}
    where valid_to is null and {{ is_measured_stay() }}
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
    coalesce(finished.n_stays, 0)::integer as n_stays,
    round(finished.mean_days, 3) as mean_days,
    round(stay.percentiles[1]::numeric, 3) as median_days,
    round(stay.percentiles[2]::numeric, 3) as p75_days,
    round(stay.percentiles[3]::numeric, 3) as p90_days,
    coalesce(totals.n_deals, 0)::integer as n_deals,
    round(total.percentiles[1]::numeric, 3) as median_total_days,
    round(total.percentiles[2]::numeric, 3) as p75_total_days,
    round(total.percentiles[3]::numeric, 3) as p90_total_days,
    coalesce(running.n_running, 0)::integer as n_running,
    round(run.percentiles[1]::numeric, 3) as median_running_days
from {{ ref('dim_stage') }} as stages
left join finished on stages.stage_id = finished.stage_id
left join running on stages.stage_id = running.stage_id
left join totals on stages.stage_id = totals.stage_id
-- left joins: they are left out when nobody reads the percentiles
left join lateral (
    select {{ percentiles('listed.days') }} as percentiles
    from stays
    cross join lateral unnest(stays.days_of_stays) as listed (days)
    where stays.stage_id = stages.stage_id
) as stay on true
left join {{ percentiles_of('running.days', [0.5]) }} as run on true
left join {{ percentiles_of('totals.days') }} as total on true
where stages.stage_id <> -1
