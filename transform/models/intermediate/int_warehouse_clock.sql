{#-
    Does not change until new data comes in or the next day begins: a build without new data finds the same ages as
    before, and writes nothing.
-#}
{%- set clock = load_relation(this) if execute and not should_full_refresh() and not var('as_of') -%}
{%- set can_stand_still = clock and 'set_at' in adapter.get_columns_in_relation(clock) | map(attribute='name') -%}
-- depends_on: {{ ref('int_raw_loads') }}
with deals as (
    select max(update_time) as newest from {{ ref('int_deal_current') }}
),

-- read twice: cheaper than to keep the rows
changelogs as not materialized (
    select * from {{ ref('stg_pipedrive__deal_changelog_sync') }}
),

newest_changelog as (
    select max(synced_through) as newest from changelogs
),

-- The difference between the source's clock and the database's clock. Less than a day is a delay; more means that the
-- account has a clock of its own, as simulated accounts do, and ages must be computed with it.
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

-- No age may be negative: now is never before the newest time in the source.
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
),

standing as (
    {% if can_stand_still -%}
    select
        known.as_of,
        known.set_at
    from {{ this }} as known
    where
        not exists (
            select from {{ ref('int_raw_loads') }} as loads
            where loads.noticed_at > known.set_at
        )
    {%- else -%}
    select
        null::timestamptz as as_of,
        null::timestamptz as set_at
    {%- endif %}
)

select
    coalesce(standing.as_of, clock.as_of) as as_of,
    coalesce(standing.set_at, now()) as set_at
from clock
left join standing on {{ local_date('standing.as_of') }} = {{ local_date('clock.as_of') }}
