with source as (
    {{ raw_columns('mail_messages', {
        'id': 'bigint',
        'mail_thread_id': 'bigint',
        'user_id': 'bigint',
        'account_id': 'text',
        'subject': 'text',
        'snippet': 'text',
        'mail_tracking_status': 'text',
        'body_url': 'text',
        'sent_flag': 'bigint',
        'draft_flag': 'bigint',
        'read_flag': 'bigint',
        'sent_from_pipedrive_flag': 'bigint',
        'has_real_attachments_flag': 'bigint',
        'message_time': 'timestamptz',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'from': 'jsonb',
        'to': 'jsonb',
        'cc': 'jsonb',
        'bcc': 'jsonb',
        'deleted_flag': 'numeric',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as mail_message_id,
        mail_thread_id,
        user_id,
        account_id,
        -- text
        subject,
        snippet,
        mail_tracking_status,
        body_url,
        -- booleans
        sent_flag = 1 as is_sent,
        draft_flag = 1 as is_draft,
        read_flag = 1 as is_read,
        sent_from_pipedrive_flag = 1 as is_sent_from_pipedrive,
        has_real_attachments_flag = 1 as has_attachments,
        coalesce(deleted_flag = 1, false) or _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        message_time,
        add_time,
        update_time,
        case
            when coalesce(deleted_flag = 1, false) then coalesce(update_time, _sdc_deleted_at)
            else _sdc_deleted_at
        end as deleted_at,
        -- json
        case when jsonb_typeof("from") = 'array' then "from" end as sender,
        case when jsonb_typeof("to") = 'array' then "to" end as recipients,
        case when jsonb_typeof(cc) = 'array' then cc end as cc,
        case when jsonb_typeof(bcc) = 'array' then bcc end as bcc,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
