{#- Outcomes of the deals created in a month. Deals of recent cohorts are still open, which a column shows. -#}
with deals as (
    select * from {{ ref('int_counted_deals') }}
    where created_month is not null
),

clock as (
    select as_of from {{ ref('int_warehouse_clock') }}
),

-- A cohort is mature when it is older than the time in which four in five of all won deals were won.
maturity as (
    select percentile_cont(0.8) within group (order by cycle_days) as p80_cycle_days
    from deals
    where is_won and cycle_days >= 0
),

cohorts as (
    select
        created_month as cohort_month,
        coalesce(pipeline_id, -1) as pipeline_id,
        coalesce(owner_id, -1) as owner_id,
        count(*) as n_created,
        count(*) filter (where is_won) as n_won,
        count(*) filter (where is_lost) as n_lost,
        count(*) filter (where is_open) as n_open
    from deals
    group by created_month, coalesce(pipeline_id, -1), coalesce(owner_id, -1)
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
cross join maturity
cross join clock
