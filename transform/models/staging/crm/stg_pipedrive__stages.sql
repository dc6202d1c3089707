with source as (
    {{ raw_columns('stages', {
        'id': 'bigint',
        'pipeline_id': 'bigint',
        'name': 'text',
        'order_nr': 'bigint',
        'deal_probability': 'numeric',
        'days_to_rotten': 'bigint',
        'is_deal_rot_enabled': 'boolean',
        'is_deleted': 'boolean',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as stage_id,
        pipeline_id,
        -- text
        name,
        -- numerics
        order_nr,
        deal_probability,
        days_to_rotten,
        -- booleans
        is_deal_rot_enabled,
        coalesce(is_deleted, false) or _sdc_deleted_at is not null as is_deleted,
        -- times
        add_time,
        update_time,
        case when is_deleted then coalesce(update_time, _sdc_deleted_at) else _sdc_deleted_at end as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
