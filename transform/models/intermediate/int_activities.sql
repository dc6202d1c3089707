{#-
    Stored properties of activities. fct_activity adds the properties that depend on the current time or on other
    records. Only new records are read and written. The table of sums has what a report of all activities counts.
-#}
-- depends_on: {{ ref('int_activity_sums') }}
{%- set month = month_of('coalesce(done_date_local, due_date, ' ~ local_date('add_time') ~ ')') %}
{{ config(
    materialized='incremental_by_record',
    stream='activities',
    unique_key='activity_id',
    summed_into={'int_activity_sums': {
        'where': 'not is_deleted',
        'by': {
            'month': "coalesce(" ~ month ~ ", '-infinity')",
            'owner_id': 'coalesce(owner_id, 0)',
            'activity_type': "coalesce(activity_type, '')",
        },
        'sums': {
            'n_activities': 'count(*)',
            'n_done': 'count(*) filter (where is_done)',
            'n_done_with_due_date': 'count(*) filter (where is_done and due_date is not null)',
            'n_on_time': 'count(*) filter (where is_on_time)',
            'minutes_done': 'coalesce(sum(duration_minutes) filter (where is_done), 0)',
        },
        'lists': {'due_times': {'value': 'due_at', 'where': 'not is_done and due_at is not null'}},
    }},
    indexes=[
        {'columns': ['activity_id'], 'unique': true},
        {'columns': ['deal_id']},
        {'columns': ['owner_id', 'done_date_local']},
        {'columns': ['due_date']},
        {'columns': ['_loaded_at']}
    ]
) }}
with activities as (
    select * from {{ ref('stg_pipedrive__activities') }}
    {{ where_new_record('activities') }}
),

-- A time of day comes in UTC, with the day in UTC; without a time, the day is in the team's time zone.
moments as (
    select
        *,
        (due_date + due_time) at time zone 'UTC' as due_moment
    from activities
),

due_days as (
    select
        *,
        coalesce({{ local_date('due_moment') }}, due_date) as due_date_local
    from moments
),

days as (
    select
        *,
        -- the end of the due day, in the team's time zone
        (due_date_local + 1)::timestamp at time zone {{ reporting_timezone() }} as due_day_ends_at
    from due_days
)

select
    activity_id,
    activity_type,
    subject,
    owner_id,
    deal_id,
    lead_id,
    person_id,
    org_id,
    due_date_local as due_date,
    coalesce(due_moment, due_day_ends_at) as due_at,
    is_done,
    case when is_done then marked_as_done_time end as done_at,
    {{ local_date('case when is_done then marked_as_done_time end') }} as done_date_local,
    case when is_done then marked_as_done_time < due_day_ends_at end as is_on_time,
    round((extract(epoch from duration) / 60)::numeric, 1) as duration_minutes,
    is_deleted,
    add_time,
    update_time,
    deleted_at,
    _loaded_at
from days
