-- Our numbers are Pipedrive's, as of the last time it was asked (job reconcile). If not: was a sync just before
-- it? Else compare the deals of the pipeline named, in ops.ops_reconciliation.
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
