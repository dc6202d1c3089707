with source as (
    {{ raw_columns('products', {
        'id': 'bigint',
        'name': 'text',
        'code': 'text',
        'unit': 'text',
        'description': 'text',
        'category': 'text',
        'billing_frequency': 'text',
        'billing_frequency_cycles': 'bigint',
        'tax': 'numeric',
        'owner_id': 'bigint',
        'visible_to': 'numeric',
        'is_linkable': 'boolean',
        'is_deleted': 'boolean',
        'add_time': 'timestamptz',
        'update_time': 'timestamptz',
        'prices': 'jsonb',
        'custom_fields': 'jsonb',
        '_sdc_deleted_at': 'timestamptz',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        id as product_id,
        owner_id,
        -- text
        name,
        code,
        unit,
        description,
        category,
        billing_frequency,
        -- numerics
        tax,
        billing_frequency_cycles,
        visible_to,
        -- booleans
        is_linkable,
        coalesce(is_deleted, false) or _sdc_deleted_at is not null as is_deleted,
        -- times
        add_time,
        update_time,
        case when is_deleted then coalesce(update_time, _sdc_deleted_at) else _sdc_deleted_at end as deleted_at,
        -- json
        prices,
        case when jsonb_typeof(custom_fields) = 'object' then custom_fields end as custom_fields,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
