{#- Won deals by what they are to their customer, and customers lost, by month. -#}
with won as (
    select * from {{ ref('int_won_by_customer') }}
    where customer_id is not null
),

clock as (
    select {{ local_date('as_of') }} as today
    from {{ ref('int_warehouse_clock') }}
),

won_deals as (
    select
        closed_month as month,
        pipeline_id,
        owner_id,
        count(*) filter (where kind = 'new') as n_new,
        count(*) filter (where kind = 'returning') as n_returning,
        count(*) filter (where kind = 'won_back') as n_won_back,
        coalesce(sum(value_base) filter (where kind = 'new'), 0) as new_value_base,
        coalesce(sum(value_base) filter (where kind = 'returning'), 0) as returning_value_base,
        coalesce(sum(value_base) filter (where kind = 'won_back'), 0) as won_back_value_base,
        {{ deals_without_rate() }} as deals_without_rate
    from won
    group by closed_month, pipeline_id, owner_id
),

lost_customers as (
    select
        {{ month_of('won.lost_on') }} as month,
        won.pipeline_id,
        won.owner_id,
        count(*) as n_lost_customers
    from won
    cross join clock
    where won.lost_on <= clock.today
    group by {{ month_of('won.lost_on') }}, won.pipeline_id, won.owner_id
)

select
    coalesce(won_deals.month, lost_customers.month) as month,
    coalesce(won_deals.pipeline_id, lost_customers.pipeline_id) as pipeline_id,
    coalesce(won_deals.owner_id, lost_customers.owner_id) as owner_id,
    coalesce(won_deals.n_new, 0)::integer as n_new,
    coalesce(won_deals.n_returning, 0)::integer as n_returning,
    coalesce(won_deals.n_won_back, 0)::integer as n_won_back,
    coalesce(lost_customers.n_lost_customers, 0)::integer as n_lost_customers,
    coalesce(won_deals.new_value_base, 0) as new_value_base,
    coalesce(won_deals.returning_value_base, 0) as returning_value_base,
    coalesce(won_deals.won_back_value_base, 0) as won_back_value_base,
    coalesce(won_deals.deals_without_rate, 0)::integer as deals_without_rate
from won_deals
full join lost_customers
    on
        won_deals.month = lost_customers.month
        and won_deals.pipeline_id = lost_customers.pipeline_id
        and won_deals.owner_id = lost_customers.owner_id
