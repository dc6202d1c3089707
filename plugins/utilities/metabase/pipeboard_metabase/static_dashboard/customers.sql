-- Won deals with their customers, for the lists behind them: one row per deal.
select
    won.deal_id,
    -- The name of an organization is with the deal already.
    case when customers.customer_name is distinct from organizations.name then customers.customer_name end
        as other_name,
    customers.first_won_date,
    customers.last_won_date,
    won.customer_kind,
    won.customer_lost_date
from marts.rpt_won_deals as won
inner join marts.fct_deal as deals on won.deal_id = deals.deal_id
left join marts.dim_organization as organizations on deals.org_id = organizations.org_id
inner join (
    select distinct customer_type, customer_id, customer_name, first_won_date, last_won_date
    from marts.rpt_customers
) as customers on won.customer_type = customers.customer_type and won.customer_id = customers.customer_id
