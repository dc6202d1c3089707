with deals as (
    select max(update_time) as newest from {{ ref('int_deal_current') }}
),

changelogs as (
    select * from {{ ref('stg_pipedrive__deal_changelog_sync') }}
),

newest_changelog as (
    select max(synced_through) as newest from changelogs
),

-- How far the source's clock is from ours. Less than a day is lateness; more is an account that lives at
-- another time, as simulated ones do, and its ages must be counted by its own calendar.
other_calendar as (
    select shift
    from (
        select synced_through - _extracted_at as shift
        from changelogs
        where synced_through is not null and _extracted_at is not null
        order by _extracted_at desc, synced_through desc
        limit 1
    ) as latest
    where abs(extract(epoch from shift)) > 86400
),

-- No age may be negative: the present is never before the newest time the source gave.
clock as (
    select
        coalesce(
            {{ "'" ~ var('as_of') ~ "'::timestamptz" if var('as_of') else 'null' }},
            greatest(
                now() + coalesce(other_calendar.shift, interval '0'),
                deals.newest,
                newest_changelog.newest
            )
        ) as as_of
    from deals
    cross join newest_changelog
    left join other_calendar on true
)

select * from clock
