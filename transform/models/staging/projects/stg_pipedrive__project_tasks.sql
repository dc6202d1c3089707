{{ config(enabled='project_tasks' in var('extra_streams')) }}
with source as (
    {{ raw_columns('project_tasks', {
        'id': 'bigint',
        'project_id': 'bigint',
        'parent_task_id': 'bigint',
        'creator_id': 'bigint',
        'title': 'text',
        'description': 'text',
        'priority': 'bigint',
        'is_done': 'boolean',
        'is_milestone': 'boolean',
        'start_date': 'date',
        'due_date': 'date',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'marked_as_done_time': 'timestamptz',
        'assignee_ids': 'jsonb',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as project_task_id,
        project_id,
        parent_task_id,
        creator_id as creator_user_id,
        -- text
        title,
        description,
        -- numerics
        priority,
        -- booleans
        coalesce(is_done, false) as is_done,
        is_milestone,
        _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        start_date,
        due_date,
        add_time,
        update_time,
        marked_as_done_time,
        _sdc_deleted_at as deleted_at,
        -- json
        case when jsonb_typeof(assignee_ids) = 'array' then assignee_ids end as assignee_ids,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
