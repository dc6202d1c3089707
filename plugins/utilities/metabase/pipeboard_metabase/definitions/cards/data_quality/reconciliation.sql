---
display: table
columns: [asked_at, subject, pipeline_name, measure, theirs, ours, difference]
format: {asked_at: time, theirs: decimal, ours: decimal, difference: decimal}
period: all
size: {w: 24, h: 6}
may_be_empty: Only where `make reconcile` asked, and something differed.
---
select
    checks.asked_at,
    checks.subject,
    pipelines.display_name as pipeline_name,
    checks.measure,
    checks.theirs,
    checks.ours,
    checks.difference
from ops.ops_reconciliation as checks
left join marts.dim_pipeline as pipelines on checks.pipeline_id = pipelines.pipeline_id
where
    not checks.is_within_tolerance
    [[and checks.pipeline_id in (select pipeline_id from marts.dim_pipeline where {{pipeline}})]]
order by checks.asked_at desc, checks.subject, checks.measure
limit 200
