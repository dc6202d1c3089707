{#-
    The age of the data. A quiet stream has old rows although it was just read, so the time of its last load counts,
    from the loader's bookkeeping; without bookkeeping, the newest row's time.
-#}
with latest as (
    select * from {{ ref('int_stream_last_load') }}
),

refused as (
    {{ raw_columns('quarantine', {'stream': 'text', 'at': 'timestamptz'}, source_name='ops') }}
),

quarantined as (
    select
        stream,
        count(*) as n_in_quarantine
    from refused
    group by stream
)

select
    counts.stream,
    counts.newest_extracted_at as newest_row_extracted_at,
    latest.finished_at as last_load_at,
    greatest(counts.newest_extracted_at, latest.started_at) as data_as_of,
    round((
        extract(epoch from now() - greatest(counts.newest_extracted_at, latest.started_at)) / 3600
    )::numeric, 2) as hours_old,
    latest.n_read as last_load_records,
    latest.n_changed as last_load_rows_changed,
    coalesce(quarantined.n_in_quarantine, 0) as n_in_quarantine
from {{ ref('ops_row_counts') }} as counts
left join latest on counts.stream = latest.stream
left join quarantined on counts.stream = quarantined.stream
