---
display: table
columns: [started_at, job, status, duration_s, n_rows, n_tokens, failed_stage, reason]
format: {started_at: time, duration_s: seconds}
period: all
unfiltered: [pipeline]
size: {w: 24, h: 6}
static_dashboard: true
may_be_empty: Only the supervisor notes down its runs.
---
select
    runs.started_at,
    runs.job,
    translated(runs.status) as status,
    runs.duration_s,
    runs.n_rows,
    runs.n_tokens,
    runs.failed_stage,
    runs.reason
from ops.ops_etl_run as runs
order by runs.started_at desc
limit 50
