{#-
    The result of each stream's last run. The data of a stream that is behind or incomplete is correct as far as it
    was read.
-#}
with outcomes as (
    {{ raw_columns('stream_outcome', {
        'run_id': 'text',
        'stream': 'text',
        'outcome': 'text',
        'records_sent': 'bigint',
        'records_received': 'bigint',
        'quarantined': 'bigint',
        'nulled_values': 'bigint',
        'incomplete_parents': 'bigint',
        'reason': 'text'
    }, source_name='ops') }}
),

runs as (
    select
        run_id,
        job,
        started_at
    from {{ ref('ops_etl_run') }}
),

ranked as (
    select
        outcomes.*,
        runs.job,
        runs.started_at,
        max(runs.started_at) filter (where outcomes.outcome = 'complete') over per_stream as last_complete_at,
        row_number() over (per_stream order by runs.started_at desc nulls last, outcomes.run_id desc) as run_nr
    from outcomes
    left join runs on outcomes.run_id = runs.run_id
    window per_stream as (partition by outcomes.stream)
)

select
    stream,
    outcome,
    reason,
    coalesce(records_sent, 0) as n_records_sent,
    coalesce(records_received, 0) as n_records_received,
    coalesce(quarantined, 0) as n_quarantined,
    coalesce(nulled_values, 0) as n_nulled_values,
    coalesce(incomplete_parents, 0) as n_incomplete_parents,
    last_complete_at,
    started_at,
    job,
    run_id
from ranked
where run_nr = 1
