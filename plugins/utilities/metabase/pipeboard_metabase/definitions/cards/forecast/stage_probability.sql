---
display: table
columns: [pipeline_name, stage_name, configured_probability, n_closed, observed_win_rate, win_probability]
format: {observed_win_rate: percent, win_probability: percent, configured_probability: integer}
period: last_year
unfiltered: [owner, team]
size: {w: 24, h: 6}
static_dashboard: true
---
select
    pipelines.display_name as pipeline_name,
    stages.display_name as stage_name,
    probabilities.configured_probability,
    probabilities.n_closed,
    probabilities.observed_win_rate,
    probabilities.win_probability
from marts.rpt_stage_win_probability as probabilities
inner join marts.dim_pipeline as pipelines on probabilities.pipeline_id = pipelines.pipeline_id
inner join marts.dim_stage as stages on probabilities.stage_id = stages.stage_id
where
    stages.is_active
    [[and probabilities.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
order by pipelines.order_nr, pipelines.display_name, stages.stage_rank
