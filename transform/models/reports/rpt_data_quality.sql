{#- What makes figures worse than they could be, counted. Shares are of the deals that a check looks at. -#}
with deals as (
    select * from {{ ref('int_counted_deals') }}
),

clock as (
    select
        as_of,
        {{ local_date('as_of') }} as today
    from {{ ref('int_warehouse_clock') }}
),

checks as (
    select
        'open deals without a value' as check_name,
        count(*) filter (where is_open) as n_looked_at,
        count(*) filter (where is_open and coalesce(value, 0) = 0) as n_found
    from deals
    union all
    select
        'open deals without an owner we can see' as check_name,
        count(*) filter (where is_open) as n_looked_at,
        count(*) filter (where is_open and coalesce(owner_id, -1) = -1) as n_found
    from deals
    union all
    select
        'open deals without an expected close date' as check_name,
        count(*) filter (where is_open) as n_looked_at,
        count(*) filter (where is_open and expected_close_date is null) as n_found
    from deals
    union all
    select
        'open deals whose expected close date has passed' as check_name,
        count(*) filter (where deals.is_open) as n_looked_at,
        count(*) filter (where deals.is_open and deals.expected_close_date < clock.today) as n_found
    from deals
    cross join clock
    union all
    select
        'deals with a negative value' as check_name,
        count(*) as n_looked_at,
        count(*) filter (where value < 0) as n_found
    from deals
    union all
    select
        'deals without an exchange rate' as check_name,
        count(*) filter (where value is not null) as n_looked_at,
        count(*) filter (where fx_missing) as n_found
    from deals
    union all
    select
        'lost deals without a reason' as check_name,
        count(*) filter (where is_lost) as n_looked_at,
        count(*) filter (where is_lost and lost_reason_key = '(not given)') as n_found
    from deals
    union all
    select
        'closed deals created after they were closed' as check_name,
        count(*) filter (where not is_open) as n_looked_at,
        count(*) filter (where cycle_days < 0) as n_found
    from deals
    union all
    select
        'deals whose history contradicts itself' as check_name,
        count(*) as n_looked_at,
        count(*) filter (where history_quality = 'broken_chain') as n_found
    from deals
    union all
    select
        'deals without a changelog' as check_name,
        count(*) as n_looked_at,
        count(*) filter (where history_quality = 'current_only') as n_found
    from deals
    union all
    select
        'active stages that weigh open deals at 100 percent' as check_name,
        count(*) as n_looked_at,
        count(*) filter (where coalesce(deal_probability, 100) = 100) as n_found
    from {{ ref('dim_stage') }}
    where is_active
    union all
    select
        'activities due long ago and not done' as check_name,
        count(*) filter (where not activities.is_done) as n_looked_at,
        count(*) filter (where activities.is_overdue and activities.due_date < clock.today - 90) as n_found
    from {{ ref('fct_activity') }} as activities
    cross join clock
    where not activities.is_deleted
)

select
    check_name,
    n_looked_at::integer as n_looked_at,
    n_found::integer as n_found,
    {{ ratio('n_found', 'n_looked_at') }} as share_found
from checks
