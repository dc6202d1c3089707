with persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

users as (
    select user_id from {{ ref('dim_user') }}
),

organizations as (
    select org_id from {{ ref('dim_organization') }}
),

options as (
    {{ label_options('person') }}
),

labels as (
    select
        persons.person_id,
        string_agg(coalesce(options.label, '#' || label.id), '; ' order by options.position, label.id) as labels
    from persons
    cross join lateral jsonb_array_elements_text(persons.label_ids) as label (id)
    left join options on label.id = options.option_id
    group by persons.person_id
),

known as (
    select
        persons.person_id,
        persons.name,
        persons.first_name,
        persons.last_name,
        case when persons.org_id is not null then coalesce(organizations.org_id, -1) end as org_id,
        case when persons.owner_id is not null then coalesce(users.user_id, -1) end as owner_id,
        persons.job_title,
        persons.primary_email,
        persons.primary_phone,
        labels.labels,
        persons.marketing_status,
        persons.birthday,
        persons.address,
        persons.address_city,
        persons.address_state,
        persons.address_country,
        persons.is_deleted,
        persons.add_time,
        persons.update_time,
        persons.deleted_at,
        persons._loaded_at
    from persons
    left join labels on persons.person_id = labels.person_id
    left join users on persons.owner_id = users.user_id
    left join organizations on persons.org_id = organizations.org_id
),

-- The target of facts whose record does not exist.
unknown as (
    select
        -1 as person_id,
        'Unknown' as name,
        null as first_name,
        null as last_name,
        null::bigint as org_id,
        null::bigint as owner_id,
        null as job_title,
        null as primary_email,
        null as primary_phone,
        null as labels,
        null as marketing_status,
        null::date as birthday,
        null as address,
        null as address_city,
        null as address_state,
        null as address_country,
        false as is_deleted,
        null::timestamptz as add_time,
        null::timestamptz as update_time,
        null::timestamptz as deleted_at,
        null::timestamptz as _loaded_at
)

select * from known
union all
select * from unknown
