---
display: table
columns: [stream, n_rows, n_vanished, mart, n_rows_in_mart, counted_at]
format: {counted_at: time}
unfiltered: [pipeline]
size: {w: 12, h: 6}
static_dashboard: true
---
select
    stream,
    n_rows,
    n_vanished,
    mart,
    n_rows_in_mart,
    counted_at
from ops.ops_row_counts
order by n_rows desc, stream
