{#-
    The first contact with a deal's customer: a done call, e-mail or meeting, or a mail sent from a thread of the
    deal. A contact before the deal was created counts as an immediate response. Activities of bots do not count.
-#}
{{ config(materialized='published_view') }}
with deals as (
    select * from {{ ref('int_counted_deals') }}
    where add_time is not null and not is_import
),

touches as (
    select
        deal_id,
        done_at as touched_at
    from {{ ref('int_activities') }}
    where
        is_done
        and not is_deleted
        and done_at is not null
        and deal_id is not null
        and activity_type in ({{ outbound_activity_types() }})
        {%- if var('bot_user_ids') %}
        and owner_id not in ({{ var('bot_user_ids') | join(', ') }})
        {%- endif %}
    union all
    select
        threads.deal_id,
        messages.message_time as touched_at
    from {{ ref('stg_pipedrive__mail_messages') }} as messages
    inner join {{ ref('stg_pipedrive__mail_threads') }} as threads on messages.mail_thread_id = threads.mail_thread_id
    where
        messages.is_sent and not messages.is_draft and not messages.is_deleted and threads.deal_id is not null
        {%- if var('bot_user_ids') %}
        and messages.user_id not in ({{ var('bot_user_ids') | join(', ') }})
        {%- endif %}
),

first_touches as (
    select
        deal_id,
        min(touched_at) as touched_at
    from touches
    group by deal_id
),

timed as (
    select
        deals.deal_id,
        coalesce(deals.pipeline_id, -1) as pipeline_id,
        coalesce(deals.owner_id, -1) as owner_id,
        deals.created_month,
        deals.add_time,
        first_touches.touched_at as first_touch_at,
        coalesce(first_touches.touched_at < deals.add_time, false) as is_touched_before_creation,
        greatest(first_touches.touched_at, deals.add_time) as responded_at,
        deals.add_date_local
    from deals
    left join first_touches on deals.deal_id = first_touches.deal_id
)

select
    timed.deal_id,
    timed.pipeline_id,
    timed.owner_id,
    timed.created_month,
    timed.add_time,
    timed.first_touch_at,
    timed.is_touched_before_creation,
    case
        when timed.first_touch_at is not null
            then {{ hours_of("date_part('epoch', timed.responded_at - timed.add_time)") }}
    end as response_hours,
    case
        when timed.first_touch_at is not null
            then {{ hours_of(
                '(' ~ office_seconds('timed.responded_at', 'response_days')
                ~ ' - ' ~ office_seconds('timed.add_time', 'created_days') ~ ')'
            ) }}
    end as response_office_hours
from timed
left join {{ ref('dim_date') }} as created_days on timed.add_date_local = created_days.date_day
left join {{ ref('dim_date') }} as response_days
    on {{ local_date('timed.responded_at') }} = response_days.date_day
