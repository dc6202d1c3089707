{{ config(
    indexes=[
        {'columns': ['owner_id', 'add_date_local']},
        {'columns': ['converted_deal_id']}
    ]
) }}
with leads as (
    select * from {{ ref('stg_pipedrive__leads') }}
),

-- The first deal of a converted lead; only the deal refers to the lead.
conversions as (
    select distinct on (source_lead_id)
        source_lead_id as lead_id,
        deal_id,
        add_time,
        is_deleted
    from {{ ref('fct_deal') }}
    where source_lead_id is not null
    order by source_lead_id asc, is_deleted asc, add_time asc, deal_id asc
),

labels as (
    select
        leads.lead_id,
        string_agg(coalesce(names.name, '#' || label.id), '; ' order by coalesce(names.name, '#' || label.id)) as labels
    from leads
    cross join lateral jsonb_array_elements_text(leads.label_ids) as label (id)
    left join {{ ref('stg_pipedrive__lead_labels') }} as names on label.id = names.lead_label_id
    group by leads.lead_id
),

owners as (
    select user_id from {{ ref('dim_user') }}
),

organizations as (
    select org_id from {{ ref('dim_organization') }}
),

persons as (
    select person_id from {{ ref('dim_person') }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

clock as (
    select {{ local_date('as_of') }} as today from {{ ref('int_warehouse_clock') }}
)

select
    leads.lead_id,
    leads.title,
    case when leads.owner_id is not null then coalesce(owners.user_id, -1) end as owner_id,
    case when leads.creator_user_id is not null then coalesce(creators.user_id, -1) end as creator_user_id,
    case when leads.person_id is not null then coalesce(persons.person_id, -1) end as person_id,
    case when leads.org_id is not null then coalesce(organizations.org_id, -1) end as org_id,
    labels.labels,
    leads.source_name,
    leads.origin,
    leads.channel,
    leads.value,
    leads.currency,
    round(leads.value * fx_rates.rate, 2) as value_base,
    leads.value is not null and fx_rates.rate is null as fx_missing,
    leads.expected_close_date,
    leads.is_archived,
    leads.is_deleted,
    leads.was_seen,
    conversions.deal_id is not null as is_converted,
    conversions.deal_id as converted_deal_id,
    conversions.add_time as converted_at,
    case
        when conversions.deal_id is not null
            then greatest(0, {{ days_between('leads.add_time', 'conversions.add_time') }})
    end as days_to_conversion,
    leads.add_time,
    leads.update_time,
    leads.deleted_at,
    {{ local_date('leads.add_time') }} as add_date_local,
    {{ local_date('conversions.add_time') }} as converted_date_local,
    leads._loaded_at
from leads
cross join clock
left join conversions on leads.lead_id = conversions.lead_id
left join labels on leads.lead_id = labels.lead_id
left join owners on leads.owner_id = owners.user_id
left join owners as creators on leads.creator_user_id = creators.user_id
left join organizations on leads.org_id = organizations.org_id
left join persons on leads.person_id = persons.person_id
left join fx_rates
    on
        leads.currency = fx_rates.currency
        and clock.today >= fx_rates.valid_from
        and clock.today < fx_rates.valid_to
