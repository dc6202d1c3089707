with organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

users as (
    select user_id from {{ ref('dim_user') }}
),

options as (
    select * from {{ ref('int_field_options') }}
    where entity = 'organization'
),

label_options as (
    {{ label_options('organization') }}
),

labels as (
    select
        organizations.org_id,
        string_agg(
            coalesce(label_options.label, '#' || label.id), '; ' order by label_options.position, label.id
        ) as labels
    from organizations
    cross join lateral jsonb_array_elements_text(organizations.label_ids) as label (id)
    left join label_options on label.id = label_options.option_id
    group by organizations.org_id
),

known as (
    select
        organizations.org_id,
        organizations.name,
        case when organizations.owner_id is not null then coalesce(users.user_id, -1) end as owner_id,
        labels.labels,
        industries.label as industry,
        organizations.annual_revenue,
        organizations.employee_count,
        organizations.website,
        organizations.linkedin,
        organizations.address,
        organizations.address_street,
        organizations.address_number,
        organizations.address_district,
        organizations.address_city,
        organizations.address_state,
        organizations.address_country,
        organizations.address_postcode,
        organizations.is_deleted,
        organizations.add_time,
        organizations.update_time,
        organizations.deleted_at,
        organizations._loaded_at
    from organizations
    left join labels on organizations.org_id = labels.org_id
    left join users on organizations.owner_id = users.user_id
    left join options as industries
        on industries.field_code = 'industry' and organizations.industry_id::text = industries.option_id
),

-- The target of facts whose record does not exist.
unknown as (
    select
        -1 as org_id,
        'Unknown' as name,
        null::bigint as owner_id,
        null as labels,
        null as industry,
        null::numeric as annual_revenue,
        null::bigint as employee_count,
        null as website,
        null as linkedin,
        null as address,
        null as address_street,
        null as address_number,
        null as address_district,
        null as address_city,
        null as address_state,
        null as address_country,
        null as address_postcode,
        false as is_deleted,
        null::timestamptz as add_time,
        null::timestamptz as update_time,
        null::timestamptz as deleted_at,
        null::timestamptz as _loaded_at
)

select * from known
union all
select * from unknown
