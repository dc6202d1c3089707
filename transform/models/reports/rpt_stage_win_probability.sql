{#-
    The share of won deals among the closed deals of the trailing window that reached a stage. With few deals, the
    overall rate is mixed in with the weight of some deals. A view of sums: nothing has to be counted.
    int_counted_deals and fct_deal_stage_reached write the sums.
-#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('int_counted_deals') }}
-- depends_on: {{ ref('fct_deal_stage_reached') }}
with clock as (
    select {{ local_date('as_of') }} - {{ var('win_probability_window_days') }} as first_day
    from {{ ref('int_warehouse_clock') }}
),

overall as (
    select
        sum(n_closed) as n_closed,
        sum(n_won) as n_won
    from {{ ref('int_closed_day_sums') }}
    where closed_on > (select clock.first_day from clock)
),

per_stage as (
    select
        stage_id,
        sum(n_closed) as n_closed,
        sum(n_won) as n_won
    from {{ ref('int_stage_close_sums') }}
    where closed_on > (select clock.first_day from clock)
    group by stage_id
)

select
    stages.stage_id,
    stages.pipeline_id,
    stages.name as stage_name,
    stages.probability as configured_probability,
    coalesce(per_stage.n_closed, 0)::integer as n_closed,
    coalesce(per_stage.n_won, 0)::integer as n_won,
    {{ ratio('per_stage.n_won', 'per_stage.n_closed') }} as observed_win_rate,
    round(
        (
            coalesce(per_stage.n_won, 0)
            + {{ var('win_probability_prior_deals') }} * overall.n_won::numeric / nullif(overall.n_closed, 0)
        ) / (coalesce(per_stage.n_closed, 0) + {{ var('win_probability_prior_deals') }}), 4
    ) as win_probability
from {{ ref('dim_stage') }} as stages
cross join overall
left join per_stage on stages.stage_id = per_stage.stage_id
