with source as (
    {{ raw_columns('leads', {
        'id': 'text',
        'owner_id': 'bigint',
        'creator_id': 'bigint',
        'person_id': 'bigint',
        'organization_id': 'bigint',
        'source_deal_id': 'bigint',
        'next_activity_id': 'bigint',
        'origin_id': 'text',
        'channel_id': 'text',
        'title': 'text',
        'source_name': 'text',
        'origin': 'text',
        'value': 'jsonb',
        'cc_email': 'text',
        'visible_to': 'text',
        'channel': 'bigint',
        'is_archived': 'boolean',
        'was_seen': 'boolean',
        'expected_close_date': 'date',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'label_ids': 'jsonb',
        '_extra': 'jsonb',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as lead_id,
        owner_id,
        creator_id as creator_user_id,
        person_id,
        organization_id as org_id,
        source_deal_id,
        next_activity_id,
        origin_id,
        channel_id,
        -- text
        title,
        source_name,
        origin,
        value ->> 'currency' as currency,
        cc_email,
        visible_to,
        -- numerics
        {{ try_numeric("(value ->> 'amount')") }} as value,
        channel,
        -- booleans
        coalesce(is_archived, false) as is_archived,
        was_seen,
        _sdc_deleted_at is not null as is_deleted,
        -- dates and times
        expected_close_date,
        add_time,
        update_time,
        _sdc_deleted_at as deleted_at,
        -- json
        case when jsonb_typeof(label_ids) = 'array' then label_ids end as label_ids,
        (
            select jsonb_object_agg(entry.key, entry.value)
            from jsonb_each(source._extra) as entry (key, value)  -- noqa: RF03
            where entry.key ~ '^[0-9a-f]{40}(_|$)'
        ) as custom_fields,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
