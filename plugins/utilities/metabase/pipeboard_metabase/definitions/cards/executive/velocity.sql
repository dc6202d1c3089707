---
display: scalar
columns: [velocity_base_per_day, deals_without_rate]
y: velocity_base_per_day
format: {velocity_base_per_day: money}
unfiltered: [period, pipeline, owner, team]
size: {w: 6, h: 3}
static_dashboard: true
---
select
    velocity_base_per_day,
    deals_without_rate
from marts.rpt_velocity
where scope = 'all'
