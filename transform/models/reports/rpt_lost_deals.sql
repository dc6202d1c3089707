{#-
    Lost deals, one per row, with their reasons, to find deals to contact again. A view: half of all deals are lost,
    too many to write again in each build.
-#}
{{ config(materialized='published_view') }}
with lost as (
    select * from {{ ref('int_counted_deals') }}
    where is_lost
),

facts as (
    select
        deal_id,
        title,
        org_id
    from {{ ref('fct_deal') }}
)

select
    lost.deal_id,
    facts.title,
    lost.closed_month as month,
    lost.close_date_local as lost_date_local,
    coalesce(lost.pipeline_id, -1) as pipeline_id,
    -- a deal is lost in its last open stage
    lost.stage_id as last_open_stage_id,
    coalesce(lost.closing_owner_id, -1) as owner_id,
    facts.org_id,
    reasons.reason_group,
    reasons.label as reason,
    lost.value_base,
    lost.fx_missing
from lost
inner join facts on lost.deal_id = facts.deal_id
left join {{ ref('dim_lost_reason') }} as reasons on lost.lost_reason_norm = reasons.lost_reason_norm
