with source as (
    {{ raw_columns('organizations', {
        'id': 'bigint',
        'name': 'text',
        'owner_id': 'bigint',
        'website': 'text',
        'linkedin': 'text',
        'industry': 'bigint',
        'annual_revenue': 'numeric',
        'employee_count': 'bigint',
        'visible_to': 'bigint',
        'is_deleted': 'boolean',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'address': 'jsonb',
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
        id as org_id,
        owner_id,
        -- text
        name,
        website,
        linkedin,
        address ->> 'value' as address,
        address ->> 'route' as address_street,
        address ->> 'street_number' as address_number,
        address ->> 'sublocality' as address_district,
        address ->> 'locality' as address_city,
        address ->> 'admin_area_level_1' as address_state,
        address ->> 'country' as address_country,
        address ->> 'postal_code' as address_postcode,
        -- numerics
        industry as industry_id,
        annual_revenue,
        employee_count,
        visible_to,
        -- booleans
        coalesce(is_deleted, false) or _sdc_deleted_at is not null as is_deleted,
        -- times
        add_time,
        update_time,
        case when is_deleted then coalesce(update_time, _sdc_deleted_at) else _sdc_deleted_at end as deleted_at,
        -- json
        case when jsonb_typeof(label_ids) = 'array' then label_ids end as label_ids,
        case when jsonb_typeof(custom_fields) = 'object' then custom_fields end as custom_fields,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
