---
display: table
columns: [owner_name, n_done, n_planned, n_overdue, on_time_rate, hours_done]
format: {on_time_rate: percent, hours_done: hours}
unfiltered: [pipeline]
size: {w: 24, h: 7}
static_dashboard: true
---
select
    translated(users.display_name) as owner_name,
    sum(activities.n_done) as n_done,
    sum(activities.n_planned) as n_planned,
    sum(activities.n_overdue) as n_overdue,
    round(sum(activities.n_on_time)::numeric / nullif(sum(activities.n_done_with_due_date), 0), 4) as on_time_rate,
    round(sum(activities.minutes_done) / 60, 1) as hours_done
from marts.rpt_activities_monthly as activities
inner join marts.dim_user as users on activities.owner_id = users.user_id
where
    true
    [[and activities.month in (select month_start from marts.dim_date where {{period}})]]
    of_owners(activities)
group by users.display_name
order by n_done desc, owner_name
