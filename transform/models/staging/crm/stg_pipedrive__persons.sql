with source as (
    {{ raw_columns('persons', {
        'id': 'bigint',
        'name': 'text',
        'first_name': 'text',
        'last_name': 'text',
        'owner_id': 'bigint',
        'org_id': 'bigint',
        'job_title': 'text',
        'birthday': 'text',
        'notes': 'text',
        'marketing_status': 'text',
        'visible_to': 'bigint',
        'is_deleted': 'boolean',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'emails': 'jsonb',
        'phones': 'jsonb',
        'im': 'jsonb',
        'postal_address': 'jsonb',
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
        id as person_id,
        owner_id,
        org_id,
        -- text
        name,
        first_name,
        last_name,
        job_title,
        marketing_status,
        notes,
        coalesce(
            jsonb_path_query_first(emails, '$[*] ? (@.primary == true)') ->> 'value', emails -> 0 ->> 'value'
        ) as primary_email,
        coalesce(
            jsonb_path_query_first(phones, '$[*] ? (@.primary == true)') ->> 'value', phones -> 0 ->> 'value'
        ) as primary_phone,
        postal_address ->> 'value' as address,
        postal_address ->> 'locality' as address_city,
        postal_address ->> 'admin_area_level_1' as address_state,
        postal_address ->> 'country' as address_country,
        -- numerics
        visible_to,
        -- booleans
        coalesce(is_deleted, false) or _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        {{ try_date('birthday') }} as birthday,
        add_time,
        update_time,
        case when is_deleted then coalesce(update_time, _sdc_deleted_at) else _sdc_deleted_at end as deleted_at,
        -- json
        emails,
        phones,
        im,
        case when jsonb_typeof(label_ids) = 'array' then label_ids end as label_ids,
        case when jsonb_typeof(custom_fields) = 'object' then custom_fields end as custom_fields,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
