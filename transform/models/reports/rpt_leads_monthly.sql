{#- Leads by month of creation, with the outcome of the leads and of the deals they became. -#}
with leads as (
    select
        {{ month_of('leads.add_date_local') }} as month,
        coalesce(leads.owner_id, -1) as owner_id,
        coalesce(leads.source_name, '(unknown)') as source_name,
        leads.is_converted,
        leads.is_archived,
        leads.days_to_conversion,
        deals.is_won,
        deals.value_base,
        deals.fx_missing
    from {{ ref('fct_lead') }} as leads
    left join {{ ref('int_counted_deals') }} as deals on leads.converted_deal_id = deals.deal_id
    where not leads.is_deleted or leads.is_converted
)

select
    month,
    owner_id,
    source_name,
    count(*)::integer as n_leads,
    (count(*) filter (where is_converted))::integer as n_converted,
    {{ ratio('count(*) filter (where is_converted)', 'count(*)') }} as lead_conversion_rate,
    (count(*) filter (where is_archived and not is_converted))::integer as n_archived,
    round((percentile_cont(0.5) within group (order by days_to_conversion))::numeric, 2) as median_days_to_conversion,
    (count(*) filter (where is_won))::integer as n_won,
    coalesce(sum(value_base) filter (where is_won), 0) as won_value_base,
    {{ deals_without_rate('is_won') }} as deals_without_rate
from leads
group by month, owner_id, source_name
