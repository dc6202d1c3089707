with source as (
    {{ raw_columns('notes', {
        'id': 'bigint',
        'user_id': 'bigint',
        'last_update_user_id': 'bigint',
        'deal_id': 'bigint',
        'lead_id': 'text',
        'person_id': 'bigint',
        'org_id': 'bigint',
        'project_id': 'bigint',
        'task_id': 'bigint',
        'content': 'text',
        'pinned_to_deal_flag': 'boolean',
        'pinned_to_lead_flag': 'boolean',
        'pinned_to_person_flag': 'boolean',
        'pinned_to_organization_flag': 'boolean',
        'pinned_to_project_flag': 'boolean',
        'pinned_to_task_flag': 'boolean',
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
        id as note_id,
        user_id as creator_user_id,
        last_update_user_id as updater_user_id,
        deal_id,
        lead_id,
        person_id,
        org_id,
        project_id,
        task_id,
        -- text
        content,
        -- booleans
        pinned_to_deal_flag as is_pinned_to_deal,
        pinned_to_lead_flag as is_pinned_to_lead,
        pinned_to_person_flag as is_pinned_to_person,
        pinned_to_organization_flag as is_pinned_to_organization,
        pinned_to_project_flag as is_pinned_to_project,
        pinned_to_task_flag as is_pinned_to_task,
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
