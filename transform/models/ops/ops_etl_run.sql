with source as (
    {{ raw_columns('etl_run', {
        'run_id': 'text',
        'job': 'text',
        'pipeline': 'text',
        'environment': 'text',
        'started_at': 'timestamptz',
        'finished_at': 'timestamptz',
        'status': 'text',
        'exit_code': 'integer',
        'reason': 'text',
        'failed_stage': 'text',
        'rows': 'bigint',
        'calls': 'bigint',
        'tokens': 'bigint',
        'version': 'text'
    }, source_name='ops') }}
)

select
    run_id,
    job,
    pipeline,
    environment,
    status,
    exit_code,
    failed_stage,
    reason,
    started_at,
    finished_at,
    round(extract(epoch from finished_at - started_at)::numeric, 1) as duration_s,
    rows as n_rows,
    calls as n_calls,
    tokens as n_tokens,
    version
from source
