---
display: table
columns: [stream, data_as_of, hours_old, last_load_records, last_load_rows_changed, n_in_quarantine]
format: {data_as_of: time, hours_old: hours}
unfiltered: [pipeline]
size: {w: 12, h: 7}
static_dashboard: true
---
select
    stream,
    data_as_of,
    hours_old,
    last_load_records,
    last_load_rows_changed,
    n_in_quarantine
from ops.ops_stream_freshness
order by hours_old desc nulls last, stream
