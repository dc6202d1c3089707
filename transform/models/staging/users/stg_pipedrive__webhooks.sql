{{ config(enabled='webhooks' in var('extra_streams')) }}
with source as (
    {{ raw_columns('webhooks', {
        'id': 'bigint',
        'company_id': 'bigint',
        'owner_id': 'bigint',
        'user_id': 'bigint',
        'admin_id': 'bigint',
        'name': 'text',
        'type': 'text',
        'event_action': 'text',
        'event_object': 'text',
        'subscription_url': 'text',
        'version': 'text',
        'remove_reason': 'text',
        'last_http_status': 'bigint',
        'is_active': 'bigint',
        'add_time': 'timestamptz',
        'last_delivery_time': 'timestamptz',
        'remove_time': 'timestamptz',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as webhook_id,
        company_id,
        owner_id,
        user_id,
        admin_id as admin_user_id,
        -- text
        name,
        type as webhook_type,
        event_action,
        event_object,
        subscription_url,
        version,
        remove_reason,
        -- numerics
        last_http_status,
        -- booleans
        is_active = 1 as is_active,
        remove_time is not null or _sdc_deleted_at is not null as is_deleted,
        -- times
        add_time,
        last_delivery_time,
        remove_time,
        case
            when remove_time is not null then coalesce(remove_time, _sdc_deleted_at)
            else _sdc_deleted_at
        end as deleted_at,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
