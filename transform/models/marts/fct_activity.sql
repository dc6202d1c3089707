{#-
    A view, because an activity can become overdue, and referenced records can appear, without a change of the
    activity. Each joined table has a key, so PostgreSQL omits joins that a query does not need. int_activities
    stores the properties.
-#}
{{ config(materialized='published_view') }}
with activities as (
    select * from {{ ref('int_activities') }}
),

deals as (
    select deal_id from {{ ref('int_deal_current') }}
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

types as (
    {{ activity_type_names() }}
)

select
    activities.activity_id,
    activities.activity_type as type,
    coalesce(types.name, activities.activity_type) as type_name,
    activities.subject,
    case when activities.owner_id is not null then coalesce(owners.user_id, -1) end as owner_id,
    deals.deal_id,
    activities.lead_id,
    case when activities.person_id is not null then coalesce(persons.person_id, -1) end as person_id,
    case when activities.org_id is not null then coalesce(organizations.org_id, -1) end as org_id,
    activities.due_date,
    activities.due_at,
    activities.is_done as done,
    activities.done_at,
    activities.done_date_local,
    coalesce(
        not activities.is_done and not activities.is_deleted and activities.due_at < {{ as_of() }}, false
    ) as is_overdue,
    activities.is_on_time,
    activities.duration_minutes as duration_min,
    round(extract(epoch from activities.done_at - activities.due_at) / 3600, 2) as lag_h,
    activities.is_deleted,
    activities.add_time,
    activities.update_time,
    activities.deleted_at,
    activities._loaded_at
from activities
left join deals on activities.deal_id = deals.deal_id
left join owners on activities.owner_id = owners.user_id
left join organizations on activities.org_id = organizations.org_id
left join persons on activities.person_id = persons.person_id
left join types on activities.activity_type = types.activity_type
