{#-
    Only rows that differ are written: whether an activity is overdue, and whether what it names is there, changes
    without it, so all are computed; but few come out otherwise than they are.
-#}
{%- set columns = [
    'activity_type', 'subject', 'owner_id', 'deal_id', 'lead_id', 'person_id', 'org_id', 'due_date', 'due_at',
    'is_done', 'done_at', 'done_date_local', 'is_overdue', 'is_on_time', 'duration_minutes', 'is_deleted', 'add_time',
    'update_time', 'deleted_at', '_loaded_at'
] %}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='activity_id',
    on_schema_change='append_new_columns',
    post_hook="{{ drop_vanished('stg_pipedrive__activities', 'activity_id') }}",
    indexes=[
        {'columns': ['deal_id']},
        {'columns': ['owner_id', 'done_date_local']},
        {'columns': ['due_date']}
    ]
) }}
with activities as (
    select * from {{ ref('stg_pipedrive__activities') }}
),

deals as (
    select deal_id from {{ ref('fct_deal') }}
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

clock as (
    select * from {{ ref('int_warehouse_clock') }}
),

days as (
    select
        *,
        -- the end of the day it is due, where the team works
        (due_date + 1)::timestamp at time zone {{ reporting_timezone() }} as due_day_ends_at
    from activities
),

due as (
    select
        *,
        case
            when due_time is not null then (due_date + due_time) at time zone 'UTC'
            else due_day_ends_at
        end as due_at
    from days
),

computed as (
    select
        due.activity_id,
        due.activity_type,
        due.subject,
        case when due.owner_id is not null then coalesce(owners.user_id, -1) end as owner_id,
        deals.deal_id,
        due.lead_id,
        case when due.person_id is not null then coalesce(persons.person_id, -1) end as person_id,
        case when due.org_id is not null then coalesce(organizations.org_id, -1) end as org_id,
        due.due_date,
        due.due_at,
        due.is_done,
        case when due.is_done then due.marked_as_done_time end as done_at,
        {{ local_date('case when due.is_done then due.marked_as_done_time end') }} as done_date_local,
        coalesce(not due.is_done and not due.is_deleted and due.due_at < clock.as_of, false) as is_overdue,
        case when due.is_done then due.marked_as_done_time < due.due_day_ends_at end as is_on_time,
        round((extract(epoch from due.duration) / 60)::numeric, 1) as duration_minutes,
        due.is_deleted,
        due.add_time,
        due.update_time,
        due.deleted_at,
        due._loaded_at
    from due
    cross join clock
    left join deals on due.deal_id = deals.deal_id
    left join owners on due.owner_id = owners.user_id
    left join organizations on due.org_id = organizations.org_id
    left join persons on due.person_id = persons.person_id
)

select computed.*
from computed
{% if is_incremental() -%}
left join {{ this }} as known on computed.activity_id = known.activity_id
where
    known.activity_id is null
    or (computed.{{ columns | join(', computed.') }})
    is distinct from (known.{{ columns | join(', known.') }})
{%- endif %}
