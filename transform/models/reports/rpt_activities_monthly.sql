{#-
    Done activities count in the month in which they were done, the others in the month in which they are due. A view
    of sums: nothing has to be counted. int_activities writes the sums.
-#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('int_activities') }}
with sums as (
    select
        nullif(activities.month, '-infinity') as month,
        coalesce(users.user_id, -1) as owner_id,
        nullif(activities.activity_type, '') as activity_type,
        activities.n_activities,
        activities.n_done,
        (
            select count(*)
            from unnest(activities.due_times) as due (due_at)
            where due.due_at < {{ as_of() }}
        ) as n_overdue,
        activities.n_done_with_due_date,
        activities.n_on_time,
        activities.minutes_done
    from {{ ref('int_activity_sums') }} as activities
    left join {{ ref('dim_user') }} as users on activities.owner_id = users.user_id
),

counted as (
    select
        month,
        owner_id,
        activity_type,
        sum(n_done)::integer as n_done,
        sum(n_activities - n_done - n_overdue)::integer as n_planned,
        sum(n_overdue)::integer as n_overdue,
        sum(n_done_with_due_date)::integer as n_done_with_due_date,
        sum(n_on_time)::integer as n_on_time,
        {{ ratio('sum(n_on_time)', 'sum(n_done_with_due_date)') }} as on_time_rate,
        sum(minutes_done) as minutes_done
    from sums
    group by month, owner_id, activity_type
),

types as (
    {{ activity_type_names() }}
),

names as (
    select
        counted.activity_type,
        coalesce(max(types.name), counted.activity_type) as name
    from counted
    left join types on counted.activity_type = types.activity_type
    where counted.activity_type is not null
    group by counted.activity_type
),

display_names as (
    {{ display_names('names', 'activity_type') }}
)

select
    counted.month,
    counted.owner_id,
    counted.activity_type,
    names.name as activity_type_name,
    counted.n_done,
    counted.n_planned,
    counted.n_overdue,
    counted.n_done_with_due_date,
    counted.n_on_time,
    counted.on_time_rate,
    counted.minutes_done,
    display_names.display_name as activity_type_display_name
from counted
left join names on counted.activity_type = names.activity_type
left join display_names on counted.activity_type = display_names.activity_type
