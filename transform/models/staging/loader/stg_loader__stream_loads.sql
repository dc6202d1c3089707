with source as (
    {{ raw_columns('stream_load', {
        'stream': 'text',
        'run_id': 'text',
        'started_at': 'timestamptz',
        'finished_at': 'timestamptz',
        'records_read': 'bigint',
        'rows_inserted': 'bigint',
        'rows_updated': 'bigint',
        'quarantined': 'bigint'
    }, source_name='ops') }}
),

renamed as (
    select
        -- ids
        run_id,
        -- text
        stream,
        -- numerics
        records_read as n_read,
        rows_inserted + rows_updated as n_changed,
        quarantined as n_quarantined,
        -- times
        started_at,
        finished_at
    from source
)

select * from renamed
