---
display: table
columns: [pipeline_name, n_opportunities, win_rate, avg_won_value_base, avg_cycle_days, velocity_base_per_day, deals_without_rate]
format:
  win_rate: percent
  avg_won_value_base: money
  avg_cycle_days: days
  velocity_base_per_day: money
period: last_quarter
unfiltered: [owner, team]
size: {w: 24, h: 5}
static_dashboard: true
---
select
    pipelines.display_name as pipeline_name,
    velocity.n_opportunities,
    velocity.win_rate,
    velocity.avg_won_value_base,
    velocity.avg_cycle_days,
    velocity.velocity_base_per_day,
    velocity.deals_without_rate
from marts.rpt_velocity as velocity
inner join marts.dim_pipeline as pipelines on velocity.pipeline_id = pipelines.pipeline_id
where
    velocity.scope = 'pipeline'
    [[and velocity.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
order by velocity.velocity_base_per_day desc nulls last, pipelines.display_name
