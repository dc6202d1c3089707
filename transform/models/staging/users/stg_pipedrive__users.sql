with source as (
    {{ raw_columns('users', {
        'id': 'bigint',
        'name': 'text',
        'email': 'text',
        'phone': 'text',
        'default_currency': 'text',
        'locale': 'text',
        'timezone_name': 'text',
        'timezone_offset': 'text',
        'role_id': 'bigint',
        'activated': 'boolean',
        'active_flag': 'boolean',
        'is_deleted': 'boolean',
        'last_login': 'timestamptz',
        'created': 'timestamptz',
        'modified': 'timestamptz',
        'access': 'jsonb',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as user_id,
        role_id,
        -- text
        name,
        email,
        phone,
        default_currency,
        locale,
        timezone_name,
        -- booleans
        coalesce(active_flag, false) and not coalesce(is_deleted, false) and _sdc_deleted_at is null as is_active,
        coalesce(access @> '[{"admin": true}]', false) as is_admin,
        coalesce(is_deleted, false) or _sdc_deleted_at is not null as is_deleted,
        -- times
        created as add_time,
        modified as update_time,
        last_login as last_login_time,
        case when is_deleted then coalesce(modified, _sdc_deleted_at) else _sdc_deleted_at end as deleted_at,
        -- json
        access,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
