---
display: table
columns: [stream, level, reason, n_records, first_at, last_at]
format: {first_at: time, last_at: time}
period: all
unfiltered: [pipeline]
size: {w: 24, h: 6}
static_dashboard: true
may_be_empty: On a healthy account no record is refused.
---
select
    refused.stream,
    refused.level,
    refused.reason,
    refused.n_records,
    refused.first_at,
    refused.last_at
from ops.ops_quarantine as refused
order by refused.last_at desc, refused.stream, refused.level, refused.reason
limit 200
