{#-
    What was refused, counted. The records themselves stay in ops.quarantine, which BI tools do not read; reasons
    quote values of them, so what stands between quotation marks is left out.
-#}
with refused as (
    {{ raw_columns('quarantine', {
        'stream': 'text',
        'reason': 'text',
        'at': 'timestamptz',
        'first_at': 'timestamptz'
    }, source_name='ops') }}
),

grouped as (
    select
        stream,
        coalesce(regexp_replace(reason, '"[^"]*"', '"…"', 'g'), '(not given)') as reason,
        coalesce(first_at, at) as first_at,
        at as last_at
    from refused
)

select
    stream,
    reason,
    count(*) as n_records,
    min(first_at) as first_at,
    max(last_at) as last_at
from grouped
group by stream, reason
