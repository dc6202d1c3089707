---
display: table
columns: [stream, outcome, data_as_of, hours_old, last_load_records, n_rows, n_vanished, n_in_quarantine, n_incomplete_parents, last_complete_at, reason]
format: {data_as_of: time, hours_old: hours, last_complete_at: time}
period: now
unfiltered: [pipeline]
size: {w: 24, h: 8}
static_dashboard: true
---
select
    coalesce(freshness.stream, counts.stream, outcomes.stream) as stream,
    translated(outcomes.outcome) as outcome,
    freshness.data_as_of,
    freshness.hours_old,
    freshness.last_load_records,
    counts.n_rows,
    counts.n_vanished,
    freshness.n_in_quarantine,
    outcomes.n_incomplete_parents,
    outcomes.last_complete_at,
    outcomes.reason
from ops.ops_stream_freshness as freshness
full join ops.ops_row_counts as counts on freshness.stream = counts.stream
full join ops.ops_stream_outcome as outcomes on coalesce(freshness.stream, counts.stream) = outcomes.stream
order by coalesce(outcomes.outcome in ('complete', 'not_due'), true), freshness.hours_old desc nulls last, stream
