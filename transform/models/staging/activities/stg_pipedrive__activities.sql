with source as (
    {{ raw_columns('activities', {
        'id': 'bigint',
        'subject': 'text',
        'type': 'text',
        'owner_id': 'bigint',
        'creator_user_id': 'bigint',
        'deal_id': 'bigint',
        'lead_id': 'text',
        'person_id': 'bigint',
        'org_id': 'bigint',
        'project_id': 'bigint',
        'due_date': 'text',
        'due_time': 'text',
        'duration': 'text',
        'priority': 'bigint',
        'busy': 'boolean',
        'done': 'boolean',
        'is_deleted': 'boolean',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'marked_as_done_time': 'timestamptz',
        'location': 'jsonb',
        'participants': 'jsonb',
        'attendees': 'jsonb',
        'note': 'text',
        'public_description': 'text',
        'conference_meeting_client': 'text',
        'conference_meeting_url': 'text',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as activity_id,
        owner_id,
        creator_user_id,
        deal_id,
        lead_id,
        person_id,
        org_id,
        project_id,
        -- text
        type as activity_type,
        subject,
        note,
        public_description,
        conference_meeting_client,
        conference_meeting_url,
        location ->> 'value' as location,
        -- numerics
        priority,
        -- booleans
        coalesce(done, false) as is_done,
        busy as is_busy,
        coalesce(is_deleted, false) or _sdc_deleted_at is not null as is_deleted,
        -- dates and times; due_time is UTC, absent on all-day activities
        {{ try_date('due_date') }} as due_date,
        {{ try_time('due_time') }} as due_time,
        case when duration ~ '^[0-9]{1,4}:[0-5][0-9](:[0-5][0-9])?$' then duration::interval end as duration,
        add_time,
        update_time,
        marked_as_done_time,
        case when is_deleted then coalesce(update_time, _sdc_deleted_at) else _sdc_deleted_at end as deleted_at,
        -- json
        participants,
        attendees,
        -- loading
        _sdc_deleted_at as _swept_at,
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
