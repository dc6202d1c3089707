{#-
    Outcomes of the deals created in a month. Deals of recent cohorts are still open, which a column shows. A view of
    sums: nothing has to be counted. int_counted_deals writes the sums.
-#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('int_counted_deals') }}
with clock as (
    select as_of from {{ ref('int_warehouse_clock') }}
),

-- A cohort is mature when it is older than the time in which four in five of all won deals were won.
maturity as (
    select percentile_cont(0.8) within group (order by listed.days) as p80_cycle_days
    from {{ ref('int_closed_deal_sums') }} as closed
    cross join lateral unnest(closed.cycles) as listed (days)
),

cohorts as (
    select
        month as cohort_month,
        pipeline_id,
        owner_id,
        sum(n_created) as n_created,
        sum(n_won) as n_won,
        sum(n_lost) as n_lost,
        sum(n_created - n_won - n_lost) as n_open
    from {{ ref('int_created_deal_sums') }}
    group by month, pipeline_id, owner_id
)

select
    cohorts.cohort_month,
    cohorts.pipeline_id,
    cohorts.owner_id,
    cohorts.n_created::integer as n_created,
    cohorts.n_won::integer as n_won,
    cohorts.n_lost::integer as n_lost,
    cohorts.n_open::integer as n_open,
    {{ ratio('cohorts.n_won', 'cohorts.n_created') }} as win_rate_by_cohort,
    {{ ratio('cohorts.n_open', 'cohorts.n_created') }} as pct_still_open,
    coalesce(
        (cohorts.cohort_month + interval '1 month')::timestamp at time zone {{ reporting_timezone() }}
        + maturity.p80_cycle_days * interval '1 day' <= clock.as_of,
        false
    ) as is_mature,
    case
        when
            (cohorts.cohort_month + interval '1 month')::timestamp at time zone {{ reporting_timezone() }}
            + maturity.p80_cycle_days * interval '1 day' <= clock.as_of
            then {{ ratio('cohorts.n_won', 'cohorts.n_created') }}
    end as win_rate_cohort_matured
from cohorts
-- left joins: they are left out when nobody reads the columns
left join maturity on true
cross join clock
