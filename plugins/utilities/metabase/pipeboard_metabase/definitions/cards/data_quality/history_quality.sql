---
display: bar
columns: [history_quality, n_deals]
x: history_quality
y: n_deals
period: all
size: {w: 12, h: 6}
static_dashboard: true
---
select
    translated(coverage.history_quality) as history_quality,
    sum(coverage.n_deals) as n_deals
from ops.ops_history_coverage as coverage
where
    true
    [[and coverage.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
group by coverage.history_quality
order by n_deals desc, history_quality
