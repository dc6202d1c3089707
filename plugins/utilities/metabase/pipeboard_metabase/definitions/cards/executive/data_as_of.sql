---
display: scalar
columns: [data_as_of]
y: data_as_of
format: {data_as_of: time}
period: now
unfiltered: [pipeline, owner, team, label]
size: {w: 6, h: 4}
static_dashboard: true
---
select max(data_as_of) as data_as_of
from ops.ops_stream_freshness
where stream = 'deals'
