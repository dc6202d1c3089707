{{ config(enabled='person_changelog' in var('extra_streams')) }}
with source as (
    {{ raw_columns('person_changelog', {
        'id': 'text',
        'person_id': 'bigint',
        'actor_user_id': 'bigint',
        'field_key': 'text',
        'old_value': 'text',
        'new_value': 'text',
        'change_source': 'text',
        'change_source_user_agent': 'text',
        'second_seq': 'bigint',
        'is_bulk_update_flag': 'boolean',
        'time': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as change_id,
        person_id,
        actor_user_id,
        -- text
        field_key,
        old_value,
        new_value,
        change_source,
        change_source_user_agent,
        -- numerics
        coalesce(second_seq, 0) as second_seq,
        -- booleans
        coalesce(is_bulk_update_flag, false) as is_bulk_update,
        -- times
        time as changed_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
