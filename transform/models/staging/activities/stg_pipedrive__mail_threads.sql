with source as (
    {{ raw_columns('mail_threads', {
        'id': 'bigint',
        'user_id': 'bigint',
        'account_id': 'text',
        'deal_id': 'bigint',
        'lead_id': 'text',
        'subject': 'text',
        'snippet': 'text',
        'deal_status': 'text',
        'mail_tracking_status': 'text',
        'message_count': 'bigint',
        'read_flag': 'bigint',
        'archived_flag': 'bigint',
        'shared_flag': 'bigint',
        'has_sent_flag': 'bigint',
        'has_draft_flag': 'bigint',
        'has_real_attachments_flag': 'bigint',
        'first_message_to_me_flag': 'bigint',
        'first_message_timestamp': 'timestamptz',
        'last_message_timestamp': 'timestamptz',
        'last_message_sent_timestamp': 'timestamptz',
        'last_message_received_timestamp': 'timestamptz',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'parties': 'jsonb',
        'folders': 'jsonb',
        'deleted_flag': 'numeric',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as mail_thread_id,
        user_id,
        account_id,
        deal_id,
        lead_id,
        -- text
        subject,
        snippet,
        deal_status,
        mail_tracking_status,
        -- numerics
        message_count as n_messages,
        -- booleans
        read_flag = 1 as is_read,
        archived_flag = 1 as is_archived,
        shared_flag = 1 as is_shared,
        has_sent_flag = 1 as has_sent,
        has_draft_flag = 1 as has_draft,
        has_real_attachments_flag = 1 as has_attachments,
        first_message_to_me_flag = 1 as is_begun_by_others,
        coalesce(deleted_flag = 1, false) or _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        first_message_timestamp as first_message_time,
        last_message_timestamp as last_message_time,
        last_message_sent_timestamp as last_sent_time,
        last_message_received_timestamp as last_received_time,
        add_time,
        update_time,
        case
            when coalesce(deleted_flag = 1, false) then coalesce(update_time, _sdc_deleted_at)
            else _sdc_deleted_at
        end as deleted_at,
        -- json
        case when jsonb_typeof(parties) = 'object' then parties end as parties,
        case when jsonb_typeof(folders) = 'array' then folders end as folders,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
