{{ config(enabled='deal_discounts' in var('extra_streams')) }}
with source as (
    {{ raw_columns('deal_discounts', {
        'id': 'text',
        'deal_id': 'bigint',
        'created_by': 'bigint',
        'updated_by': 'bigint',
        'type': 'text',
        'description': 'text',
        'amount': 'numeric',
        'created_at': 'timestamptz',
        'updated_at': 'timestamptz',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as deal_discount_id,
        deal_id,
        created_by as creator_user_id,
        updated_by as updater_user_id,
        -- text
        type as discount_type,
        description,
        -- numerics
        amount,
        -- booleans
        _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        created_at as add_time,
        updated_at as update_time,
        _sdc_deleted_at as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
