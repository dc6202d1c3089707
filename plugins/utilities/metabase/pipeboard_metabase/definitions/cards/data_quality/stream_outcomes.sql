---
display: table
columns: [stream, outcome, n_records, n_quarantined, n_nulled_values, n_incomplete_parents, last_complete_at, reason]
format: {last_complete_at: time}
unfiltered: [pipeline]
size: {w: 12, h: 6}
static_dashboard: true
may_be_empty: Only the supervisor records the outcome of each stream.
---
select
    outcomes.stream,
    translated(outcomes.outcome) as outcome,
    outcomes.n_records_sent as n_records,
    outcomes.n_quarantined,
    outcomes.n_nulled_values,
    outcomes.n_incomplete_parents,
    outcomes.last_complete_at,
    outcomes.reason
from ops.ops_stream_outcome as outcomes
order by outcomes.outcome in ('complete', 'not_due'), outcomes.last_complete_at nulls first, outcomes.stream
