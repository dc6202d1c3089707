{{ config(enabled='call_logs' in var('extra_streams')) }}
with source as (
    {{ raw_columns('call_logs', {
        'id': 'text',
        'user_id': 'bigint',
        'activity_id': 'bigint',
        'deal_id': 'bigint',
        'lead_id': 'text',
        'person_id': 'bigint',
        'org_id': 'bigint',
        'company_id': 'bigint',
        'subject': 'text',
        'outcome': 'text',
        'from_phone_number': 'text',
        'to_phone_number': 'text',
        'note': 'text',
        'duration': 'text',
        'has_recording': 'boolean',
        'start_time': 'timestamptz',
        'end_time': 'timestamptz',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as call_log_id,
        user_id,
        activity_id,
        deal_id,
        lead_id,
        person_id,
        org_id,
        company_id,
        -- text
        subject,
        outcome,
        from_phone_number,
        to_phone_number,
        note,
        -- numerics
        {{ try_numeric("duration") }} as duration_s,
        -- booleans
        has_recording,
        _sdc_deleted_at is not null as is_deleted,
        -- times
        start_time,
        end_time,
        _sdc_deleted_at as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
