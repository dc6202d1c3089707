---
display: row
columns: [activity_type, n_done, n_planned, n_overdue]
x: activity_type
y: [n_done, n_planned, n_overdue]
stacked: true
unfiltered: [pipeline]
size: {w: 12, h: 6}
static_dashboard: true
---
select
    activities.activity_type_display_name as activity_type,
    sum(activities.n_done) as n_done,
    sum(activities.n_planned) as n_planned,
    sum(activities.n_overdue) as n_overdue
from marts.rpt_activities_monthly as activities
where
    true
    [[and activities.month in (select month_start from marts.dim_date where {{period}})]]
    of_owners(activities)
group by activities.activity_type_display_name
order by n_done desc, activity_type
