{#-
    What each customer has brought, by pipeline and owner of the won deals; the customer's own dates beside them. A
    view of sums: nothing has to be counted. int_counted_deals writes the sums.
-#}
{{ config(materialized='published_view') }}
-- depends_on: {{ ref('int_counted_deals') }}
with won as (
    select * from {{ ref('int_customer_sums') }}
),

clock as (
    select {{ local_date('as_of') }} as today
    from {{ ref('int_warehouse_clock') }}
),

customers as (
    select
        customer_id,
        customer_type,
        min(won_dates[1]) as first_won_date,
        max(won_dates[cardinality(won_dates)]) as last_won_date,
        sum(n_won) as n_won
    from won
    group by customer_id, customer_type
)

select
    won.customer_type,
    won.customer_id,
    coalesce(organizations.name, persons.name) as customer_name,
    won.pipeline_id,
    won.owner_id,
    won.n_won::integer as n_won,
    won.value_base as won_value_base,
    customers.first_won_date,
    customers.last_won_date,
    case
        -- as int_won_by_customer: lost after so many days without a won deal
        when customers.last_won_date + {{ var('customer_lost_after_days') }} + 1 <= clock.today then 'lost'
        when customers.n_won = 1 then 'new'
        else 'returning'
    end as customer_status,
    won.n_without_rate::integer as deals_without_rate
from won
cross join clock
-- a left join: it is left out when nobody reads the columns
left join customers on won.customer_id = customers.customer_id and won.customer_type = customers.customer_type
left join {{ ref('dim_organization') }} as organizations
    on won.customer_type = 'organization' and won.customer_id = organizations.org_id
left join {{ ref('dim_person') }} as persons
    on won.customer_type = 'person' and won.customer_id = persons.person_id
