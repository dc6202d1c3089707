-- On each of the last days, the snapshot has exactly the deals that were open at the day's end; today, those open now.
with days as (
    select
        dates.date_day,
        (dates.date_day + 1)::timestamp at time zone {{ reporting_timezone() }} as ends_at,
        clock.as_of
    from {{ ref('dim_date') }} as dates
    cross join {{ ref('int_warehouse_clock') }} as clock
    where
        dates.date_day between {{ local_date('clock.as_of') }} - 3 and {{ local_date('clock.as_of') }}
),

expected as (
    select
        days.date_day,
        history.deal_id
    from days
    inner join {{ ref('fct_deal_stage_history') }} as history
        on case
            -- an interval that ends at this instant has ended
            when days.ends_at > days.as_of
                then days.as_of >= history.valid_from and days.as_of < coalesce(history.valid_to, 'infinity')
            else days.ends_at > history.valid_from and days.ends_at <= coalesce(history.valid_to, 'infinity')
        end
    where
        history.status = 'open'
        and coalesce(history.valid_to, 'infinity') >= (select min(ending.ends_at) from days as ending)
),

shown as (
    select
        snapshot.date_day,
        snapshot.deal_id
    from {{ ref('fct_deal_daily_snapshot') }} as snapshot
    -- an array, so that PostgreSQL knows that it has few days; with a join it would read all days
    where snapshot.date_day = any(array(select days.date_day from days))
)

select
    coalesce(expected.date_day, shown.date_day) as date_day,
    coalesce(expected.deal_id, shown.deal_id) as deal_id,
    expected.deal_id is null as is_superfluous
from expected
full join shown on expected.date_day = shown.date_day and expected.deal_id = shown.deal_id
where expected.deal_id is null or shown.deal_id is null
