{#-
    Won deals one by one: a median cannot be computed from the medians of owners or months. A view: these are too many
    rows to compare in each build.
-#}
{{ config(materialized='published_view') }}
with clock as (
    select {{ local_date('as_of') }} as today
    from {{ ref('int_warehouse_clock') }}
)

select
    won.deal_id,
    won.closed_month as month,
    won.pipeline_id,
    won.owner_id,
    -- as rpt_deals_monthly: a creation date after the closing gives no valid length of a sale
    case when won.cycle_days >= 0 then won.cycle_days end as cycle_days,
    won.customer_type,
    won.customer_id,
    won.kind as customer_kind,
    case when won.lost_on <= clock.today then won.lost_on end as customer_lost_date
from {{ ref('int_won_by_customer') }} as won
cross join clock
where won.closed_month is not null
