{{ config(enabled='projects' in var('extra_streams')) }}
with source as (
    {{ raw_columns('projects', {
        'id': 'bigint',
        'board_id': 'bigint',
        'phase_id': 'bigint',
        'owner_id': 'bigint',
        'title': 'text',
        'description': 'text',
        'status': 'text',
        'health_status': 'bigint',
        'is_archived': 'boolean',
        'start_date': 'date',
        'end_date': 'date',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'status_change_time': 'timestamptz',
        'archive_time': 'timestamptz',
        'deal_ids': 'jsonb',
        'person_ids': 'jsonb',
        'org_ids': 'jsonb',
        'label_ids': 'jsonb',
        'custom_fields': 'jsonb',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as project_id,
        board_id as project_board_id,
        phase_id as project_phase_id,
        owner_id,
        -- text
        title,
        description,
        status,
        -- numerics
        health_status,
        -- booleans
        coalesce(is_archived, false) as is_archived,
        coalesce(status = 'deleted', false) or _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        start_date,
        end_date,
        add_time,
        update_time,
        status_change_time,
        archive_time,
        case
            when coalesce(status = 'deleted', false) then coalesce(update_time, _sdc_deleted_at)
            else _sdc_deleted_at
        end as deleted_at,
        -- json
        case when jsonb_typeof(deal_ids) = 'array' then deal_ids end as deal_ids,
        case when jsonb_typeof(person_ids) = 'array' then person_ids end as person_ids,
        case when jsonb_typeof(org_ids) = 'array' then org_ids end as org_ids,
        case when jsonb_typeof(label_ids) = 'array' then label_ids end as label_ids,
        case when jsonb_typeof(custom_fields) = 'object' then custom_fields end as custom_fields,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
