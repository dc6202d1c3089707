with source as (
    {{ raw_columns('deal_changelog_sync', {
        'deal_id': 'bigint',
        'synced_through': 'timestamptz',
        'pages': 'bigint',
        'events': 'bigint',
        'complete': 'boolean',
        '_sdc_extracted_at': 'timestamptz',
        '_sdc_batched_at': 'timestamptz'
    }) }}
),

renamed as (
    select
        -- ids
        deal_id,
        -- numerics
        pages as n_pages,
        events as n_events,
        -- booleans
        coalesce(complete, false) as is_complete,
        -- times
        synced_through,
        -- loading
        _sdc_extracted_at as _extracted_at,
        _sdc_batched_at as _loaded_at
    from source
)

select * from renamed
