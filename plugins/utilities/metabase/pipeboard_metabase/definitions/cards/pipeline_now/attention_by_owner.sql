---
display: table
columns: [owner_name, open_value_base, open_count, n_stalled, n_rotten, n_stuck, n_overdue, n_without_close_date, n_without_next_activity, deals_without_rate]
format: {open_value_base: money}
period: now
unfiltered: [label]
size: {w: 24, h: 6}
static_dashboard: true
deals:
  open_value_base: open
  open_count: open
  n_stalled: stalled
  n_rotten: rotten
  n_stuck: stuck
  n_overdue: overdue
  n_without_close_date: without_close_date
  n_without_next_activity: without_next_activity
---
select
    translated(users.display_name) as owner_name,
    sum(pipeline.open_value_base) as open_value_base,
    sum(pipeline.open_count) as open_count,
    sum(pipeline.n_stalled) as n_stalled,
    sum(pipeline.n_rotten) as n_rotten,
    sum(pipeline.n_stuck) as n_stuck,
    sum(pipeline.n_overdue) as n_overdue,
    sum(pipeline.n_without_close_date) as n_without_close_date,
    sum(pipeline.n_without_next_activity) as n_without_next_activity,
    sum(pipeline.deals_without_rate) as deals_without_rate
from marts.rpt_pipeline_now as pipeline
inner join marts.dim_user as users on coalesce(pipeline.owner_id, -1) = users.user_id
where
    true
    of_pipelines_and_owners(pipeline)
group by users.display_name
order by open_value_base desc, owner_name
