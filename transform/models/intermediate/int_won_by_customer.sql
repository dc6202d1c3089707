{#-
    Won deals, and what each is to its customer, if it has one: the first, one more, or the first after a long
    silence. A view: two reports read it, both only when deals change.
-#}
{{ config(materialized='published_view') }}
with won as (
    select
        deal_id,
        customer_type,
        customer_id,
        coalesce(pipeline_id, -1) as pipeline_id,
        coalesce(closing_owner_id, -1) as owner_id,
        closed_month,
        close_date_local as won_date_local,
        value_base,
        fx_missing,
        cycle_days,
        close_time
    from {{ ref('int_counted_deals') }}
    where is_won
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
    cycle_days,
    case
        when customer_id is null then null
        when previous_won_date is null then 'new'
        when won_date_local - previous_won_date > {{ var('customer_lost_after_days') }} then 'won_back'
        else 'returning'
    end as kind,
    -- the day the customer counts as lost, unless another deal is won by then
    case
        when customer_id is null then null
        when next_won_date is null or next_won_date - won_date_local > {{ var('customer_lost_after_days') }}
            then won_date_local + {{ var('customer_lost_after_days') }} + 1
    end as lost_on
from in_order
