{#- Counts of data problems that affect figures. Each share is of the deals that the check looks at. -#}
with deals as (
    select * from {{ ref('int_counted_deals') }}
),

clock as (
    select
        as_of,
        {{ local_date('as_of') }} as today
    from {{ ref('int_warehouse_clock') }}
),

-- One scan of the deals: each check is a pair of counts.
of_deals as (
    select
        count(*) as n_deals,
        count(*) filter (where deals.is_open) as n_open,
        count(*) filter (where not deals.is_open) as n_closed,
        count(*) filter (where deals.is_lost) as n_lost,
        count(*) filter (where deals.value is not null) as n_valued,
        count(*) filter (where deals.is_open and coalesce(deals.value, 0) = 0) as n_without_value,
        count(*) filter (where deals.is_open and coalesce(deals.owner_id, -1) = -1) as n_without_owner,
        count(*) filter (where deals.is_open and deals.expected_close_date is null) as n_without_date,
        count(*) filter (where deals.is_open and deals.expected_close_date < clock.today) as n_overdue,
        count(*) filter (where deals.value < 0) as n_negative,
        count(*) filter (where deals.fx_missing) as n_without_rate,
        count(*) filter (where deals.is_lost and deals.lost_reason_norm = '(not given)') as n_without_reason,
        count(*) filter (where not deals.is_open and deals.cycle_days < 0) as n_closed_before_created,
        count(*) filter (where deals.history_quality = 'broken_chain') as n_contradictory,
        count(*) filter (where deals.history_quality = 'current_only') as n_without_changelog
    from deals
    cross join clock
),

checks as (
    select
        per_check.check_name,
        per_check.n_looked_at,
        per_check.n_found
    from of_deals as counted
    cross join
        lateral (
            values
            ('open deals without a value', counted.n_open, counted.n_without_value),
            ('open deals without an owner we can see', counted.n_open, counted.n_without_owner),
            ('open deals without an expected close date', counted.n_open, counted.n_without_date),
            ('open deals whose expected close date has passed', counted.n_open, counted.n_overdue),
            ('deals with a negative value', counted.n_deals, counted.n_negative),
            ('deals without an exchange rate', counted.n_valued, counted.n_without_rate),
            ('lost deals without a reason', counted.n_lost, counted.n_without_reason),
            ('closed deals created after they were closed', counted.n_closed, counted.n_closed_before_created),
            ('deals whose history contradicts itself', counted.n_deals, counted.n_contradictory),
            ('deals without a changelog', counted.n_deals, counted.n_without_changelog)
        ) as per_check (check_name, n_looked_at, n_found)
    union all
    select
        'active stages that weigh open deals at 100 percent' as check_name,
        count(*) as n_looked_at,
        count(*) filter (where coalesce(probability, 100) = 100) as n_found
    from {{ ref('dim_stage') }}
    where is_active
    union all
    select
        'activities due long ago and not done' as check_name,
        count(*) as n_looked_at,
        count(*) filter (where activities.is_overdue and activities.due_date < clock.today - 90) as n_found
    from {{ ref('fct_activity') }} as activities
    cross join clock
    where not activities.is_deleted and not activities.done
)

select
    check_name,
    n_looked_at::integer as n_looked_at,
    n_found::integer as n_found,
    {{ ratio('n_found', 'n_looked_at') }} as share_found
from checks
