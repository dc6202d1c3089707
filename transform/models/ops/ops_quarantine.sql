{#-
    Counts of refused records. The records and their reasons, which may quote values, stay in ops.quarantine, which
    BI tools may not read; the loader stores a class of each reason without quoted values.
-#}
with refused as (
    {{ raw_columns('quarantine', {
        'stream': 'text',
        'level': 'text',
        'reason_class': 'text',
        'at': 'timestamptz',
        'first_at': 'timestamptz'
    }, source_name='ops') }}
),

grouped as (
    select
        stream,
        coalesce(level, 'record') as level,
        coalesce(reason_class, '(not given)') as reason,
        coalesce(first_at, at) as first_at,
        at as last_at
    from refused
)

select
    stream,
    level,
    reason,
    count(*) as n_records,
    min(first_at) as first_at,
    max(last_at) as last_at
from grouped
group by stream, level, reason
