{#- Done activities count in the month in which they were done, the others in the month in which they are due. -#}
with activities as (
    select
        type as activity_type,
        type_name as activity_type_name,
        coalesce(owner_id, -1) as owner_id,
        done,
        is_overdue,
        is_on_time,
        due_date,
        duration_min,
        {{ month_of('coalesce(done_date_local, due_date, ' ~ local_date('add_time') ~ ')') }} as month
    from {{ ref('fct_activity') }}
    where not is_deleted
),

counted as (
    select
        month,
        owner_id,
        activity_type,
        max(activity_type_name) as activity_type_name,
        (count(*) filter (where done))::integer as n_done,
        (count(*) filter (where not done and not is_overdue))::integer as n_planned,
        (count(*) filter (where is_overdue))::integer as n_overdue,
        (count(*) filter (where done and due_date is not null))::integer as n_done_with_due_date,
        (count(*) filter (where is_on_time))::integer as n_on_time,
        {{ ratio('count(*) filter (where is_on_time)', 'count(*) filter (where done and due_date is not null)') }}
            as on_time_rate,
        coalesce(sum(duration_min) filter (where done), 0) as minutes_done
    from activities
    group by month, owner_id, activity_type
),

types as (
    select
        activity_type,
        coalesce(max(activity_type_name), activity_type) as name
    from counted
    where activity_type is not null
    group by activity_type
),

display_names as (
    {{ display_names('types', 'activity_type') }}
)

select
    counted.*,
    display_names.display_name as activity_type_display_name
from counted
left join display_names on counted.activity_type = display_names.activity_type
