{{ config(materialized='published_view') }}
select distinct on (stream)
    stream,
    started_at,
    finished_at,
    n_read,
    n_changed,
    n_quarantined
from {{ ref('stg_loader__stream_loads') }}
order by stream asc, started_at desc
