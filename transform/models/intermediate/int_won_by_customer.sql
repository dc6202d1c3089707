{#-
    Won deals with their customer, and what each is to the customer: the first, one more, or the first after a long
    silence. A view: three reports read it, all only when deals change.
-#}
{{ config(materialized='published_view') }}
with won as (
    select
        counted.deal_id,
        case when deals.org_id is not null then 'organization' else 'person' end as customer_type,
        coalesce(deals.org_id, deals.person_id) as customer_id,
        coalesce(counted.pipeline_id, -1) as pipeline_id,
        coalesce(counted.closing_owner_id, -1) as owner_id,
        counted.closed_month,
        counted.close_date_local as won_date_local,
        counted.value_base,
        counted.fx_missing,
        counted.close_time
    from {{ ref('int_counted_deals') }} as counted
    inner join {{ ref('int_deal_values') }} as deals on counted.deal_id = deals.deal_id
    where counted.is_won and coalesce(deals.org_id, deals.person_id) is not null
),

in_order as (
    select
        *,
        lag(won_date_local) over in_turn as previous_won_date,
        lead(won_date_local) over in_turn as next_won_date
    from won
    window in_turn as (partition by customer_id, customer_type order by close_time, deal_id)
)

select
    deal_id,
    customer_type,
    customer_id,
    pipeline_id,
    owner_id,
    closed_month,
    won_date_local,
    value_base,
    fx_missing,
    case
        when previous_won_date is null then 'new'
        when won_date_local - previous_won_date > {{ var('customer_lost_after_days') }} then 'won_back'
        else 'returning'
    end as kind,
    -- the day the customer counts as lost, unless another deal is won by then
    case
        when next_won_date is null or next_won_date - won_date_local > {{ var('customer_lost_after_days') }}
            then won_date_local + {{ var('customer_lost_after_days') }} + 1
    end as lost_on
from in_order
