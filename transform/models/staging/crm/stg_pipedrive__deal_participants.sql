{{ config(enabled='deal_participants' in var('extra_streams')) }}
with source as (
    {{ raw_columns('deal_participants', {
        'id': 'bigint',
        'deal_id': 'bigint',
        'person_id': 'bigint',
        'added_by_user_id': 'bigint',
        'add_time': 'timestamptz',
        'active_flag': 'boolean',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as deal_participant_id,
        deal_id,
        person_id,
        added_by_user_id as creator_user_id,
        -- booleans
        active_flag is false or _sdc_deleted_at is not null as is_deleted,
        -- times
        add_time,
        _sdc_deleted_at as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
