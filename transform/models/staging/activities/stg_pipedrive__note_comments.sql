{{ config(enabled='note_comments' in var('extra_streams')) }}
with source as (
    {{ raw_columns('note_comments', {
        'uuid': 'text',
        'note_id': 'bigint',
        'user_id': 'bigint',
        'updater_id': 'bigint',
        'company_id': 'bigint',
        'content': 'text',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'active_flag': 'boolean',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        uuid as note_comment_id,
        note_id,
        user_id as creator_user_id,
        updater_id as updater_user_id,
        company_id,
        -- text
        content,
        -- booleans
        active_flag is false or _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        add_time,
        update_time,
        case
            when active_flag is false then coalesce(update_time, _sdc_deleted_at)
            else _sdc_deleted_at
        end as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
