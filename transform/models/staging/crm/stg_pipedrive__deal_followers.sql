{{ config(enabled='deal_followers' in var('extra_streams')) }}
with source as (
    {{ raw_columns('deal_followers', {
        'deal_id': 'bigint',
        'user_id': 'bigint',
        'add_time': 'timestamptz',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        deal_id,
        user_id,
        -- booleans
        _sdc_deleted_at is not null as is_deleted,
        -- times
        add_time,
        _sdc_deleted_at as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
