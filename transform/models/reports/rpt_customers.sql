{#- What each customer has brought, by pipeline and owner of the won deals; the customer's own dates beside them. -#}
with won as (
    select * from {{ ref('int_won_by_customer') }}
),

clock as (
    select {{ local_date('as_of') }} as today
    from {{ ref('int_warehouse_clock') }}
),

customers as (
    select
        customer_type,
        customer_id,
        min(won_date_local) as first_won_date,
        max(won_date_local) as last_won_date,
        max(lost_on) as lost_on,
        count(*) as n_won_of_customer
    from won
    group by customer_type, customer_id
)

select
    won.customer_type,
    won.customer_id,
    coalesce(organizations.name, persons.name) as customer_name,
    won.pipeline_id,
    won.owner_id,
    count(*)::integer as n_won,
    coalesce(sum(won.value_base), 0) as won_value_base,
    customers.first_won_date,
    customers.last_won_date,
    case
        when customers.lost_on <= clock.today then 'lost'
        when customers.n_won_of_customer = 1 then 'new'
        else 'returning'
    end as customer_status,
    {{ deals_without_rate() }} as deals_without_rate
from won
cross join clock
inner join customers on won.customer_type = customers.customer_type and won.customer_id = customers.customer_id
left join {{ ref('dim_organization') }} as organizations
    on won.customer_type = 'organization' and won.customer_id = organizations.org_id
left join {{ ref('dim_person') }} as persons
    on won.customer_type = 'person' and won.customer_id = persons.person_id
group by
    won.customer_type,
    won.customer_id,
    coalesce(organizations.name, persons.name),
    won.pipeline_id,
    won.owner_id,
    customers.first_won_date,
    customers.last_won_date,
    customers.lost_on,
    customers.n_won_of_customer,
    clock.today
