{#-
    How long deals stay. Only finished stays make the benchmark: running ones are short because they are not over.
-#}
with stays as (
    {{ stage_stays() }}
),

finished as (
    select
        stage_id,
        count(*) as n_stays,
        avg(days) as mean_days,
        percentile_cont(0.5) within group (order by days) as median_days,
        percentile_cont(0.75) within group (order by days) as p75_days,
        percentile_cont(0.9) within group (order by days) as p90_days
    from stays
    where is_finished
    group by stage_id
),

-- Coming back adds up: one figure per deal and stage, finished when no stay in it runs any more.
totals as (
    select
        stage_id,
        count(*) as n_deals,
        percentile_cont(0.5) within group (order by total_days) as median_total_days,
        percentile_cont(0.75) within group (order by total_days) as p75_total_days,
        percentile_cont(0.9) within group (order by total_days) as p90_total_days
    from (
        select
            deal_id,
            stage_id,
            sum(days) as total_days
        from stays
        group by deal_id, stage_id
        having bool_and(is_finished)
    ) as per_deal
    group by stage_id
),

running as (
    select
        stage_id,
        count(*) as n_running,
        percentile_cont(0.5) within group (order by days) as median_running_days
    from stays
    where not is_finished
    group by stage_id
)

select
    stages.stage_id,
    stages.pipeline_id,
    stages.name as stage_name,
    stages.stage_rank,
    coalesce(finished.n_stays, 0)::integer as n_stays,
    round(finished.mean_days, 3) as mean_days,
    round(finished.median_days::numeric, 3) as median_days,
    round(finished.p75_days::numeric, 3) as p75_days,
    round(finished.p90_days::numeric, 3) as p90_days,
    coalesce(totals.n_deals, 0)::integer as n_deals,
    round(totals.median_total_days::numeric, 3) as median_total_days,
    round(totals.p75_total_days::numeric, 3) as p75_total_days,
    round(totals.p90_total_days::numeric, 3) as p90_total_days,
    coalesce(running.n_running, 0)::integer as n_running,
    round(running.median_running_days::numeric, 3) as median_running_days
from {{ ref('dim_stage') }} as stages
left join finished on stages.stage_id = finished.stage_id
left join totals on stages.stage_id = totals.stage_id
left join running on stages.stage_id = running.stage_id
where stages.stage_id <> -1
