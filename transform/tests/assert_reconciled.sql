-- The warehouse's figures equal Pipedrive's at the last reading (job reconcile). If not: did a sync run right before
-- it? If it did, compare the deals of the pipeline in ops.ops_reconciliation.
{{ config(tags=['reconciliation']) }}
with latest as (
    select
        subject,
        max(asked_at) as asked_at
    from {{ ref('ops_reconciliation') }}
    group by subject
)

select
    reconciliation.subject,
    reconciliation.pipeline_id,
    reconciliation.user_id,
    reconciliation.detail,
    reconciliation.measure,
    reconciliation.theirs,
    reconciliation.ours
from {{ ref('ops_reconciliation') }} as reconciliation
inner join latest on reconciliation.subject = latest.subject and reconciliation.asked_at = latest.asked_at
where not reconciliation.is_within_tolerance
