{#-
    Won deals one by one: a median cannot be computed from the medians of owners or months. A view: these are too many
    rows to compare in each build.
-#}
{{ config(materialized='published_view') }}
with customers as (
    select * from {{ ref('int_won_by_customer') }}
),

clock as (
    select {{ local_date('as_of') }} as today
    from {{ ref('int_warehouse_clock') }}
)

select
    deals.deal_id,
    deals.closed_month as month,
    coalesce(deals.pipeline_id, -1) as pipeline_id,
    coalesce(deals.closing_owner_id, -1) as owner_id,
    -- as rpt_deals_monthly: a creation date after the closing gives no valid length of a sale
    case when deals.cycle_days >= 0 then deals.cycle_days end as cycle_days,
    customers.customer_type,
    customers.customer_id,
    customers.kind as customer_kind,
    case when customers.lost_on <= clock.today then customers.lost_on end as customer_lost_date
from {{ ref('int_counted_deals') }} as deals
cross join clock
left join customers on deals.deal_id = customers.deal_id
where deals.is_won and deals.closed_month is not null
