{{ config(enabled='filters' in var('extra_streams')) }}
with source as (
    {{ raw_columns('filters', {
        'id': 'bigint',
        'user_id': 'bigint',
        'name': 'text',
        'type': 'text',
        'visible_to': 'text',
        'temporary_flag': 'boolean',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'last_used_time': 'timestamptz',
        'active_flag': 'boolean',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as filter_id,
        user_id as owner_id,
        -- text
        name,
        type as filter_type,
        visible_to,
        -- booleans
        temporary_flag as is_temporary,
        active_flag is false or _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        add_time,
        update_time,
        last_used_time,
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
