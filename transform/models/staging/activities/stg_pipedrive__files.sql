{{ config(enabled='files' in var('extra_streams')) }}
with source as (
    {{ raw_columns('files', {
        'id': 'bigint',
        'user_id': 'bigint',
        'deal_id': 'bigint',
        'lead_id': 'text',
        'person_id': 'bigint',
        'org_id': 'bigint',
        'product_id': 'bigint',
        'activity_id': 'bigint',
        'project_id': 'bigint',
        'mail_message_id': 'text',
        'name': 'text',
        'file_name': 'text',
        'file_type': 'text',
        'description': 'text',
        'remote_location': 'text',
        'file_size': 'bigint',
        'inline_flag': 'boolean',
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
        id as file_id,
        user_id,
        deal_id,
        lead_id,
        person_id,
        org_id,
        product_id,
        activity_id,
        project_id,
        mail_message_id,
        -- text
        name,
        file_name,
        file_type,
        description,
        remote_location,
        -- numerics
        file_size,
        -- booleans
        inline_flag as is_inline,
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
