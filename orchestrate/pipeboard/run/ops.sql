-- The supervisor's own tables. Every statement may run again: `pipeboard migrate` runs them all.
-- A column is added below its table by `alter table ... add column if not exists`, never changed.

-- One row per run, from its start on.
create table if not exists ops.etl_run (
    run_id text primary key,
    job text not null,
    pipeline text not null,
    -- What concurrency_group below is generated from.
    lane text not null,
    environment text not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    -- The last sign of life of its supervisor.
    seen_at timestamptz not null default clock_timestamp(),
    status text not null default 'running',
    exit_code integer,
    reason text,
    failed_stage text,
    -- Rows, API calls and tokens; null if the supervisor died.
    rows bigint,
    calls bigint,
    tokens bigint,
    version text not null,
    details jsonb,
    check ((status = 'running') = (finished_at is null))
);
-- The statuses are those of pipeboard/outcomes.py. Before, a spent budget counted as succeeded.
alter table ops.etl_run drop constraint if exists etl_run_status_check;
alter table ops.etl_run add constraint etl_run_status_check check (
    status in (
        'running', 'succeeded', 'behind', 'incomplete', 'failed', 'interrupted', 'skipped',
        'abandoned'
    )
);
update ops.etl_run set status = 'behind' where status = 'succeeded' and exit_code = 75;
update ops.etl_run set status = 'interrupted' where status = 'failed' and exit_code in (130, 143);
-- Version 4: runs of one group exclude each other. A generated column, not a renamed one: the release
-- before this one writes `lane`, and must still run after a rollback.
alter table ops.etl_run add column if not exists
    concurrency_group text generated always as (lane) stored;
create unique index if not exists etl_run_one_running on ops.etl_run (lane) where status = 'running';
create index if not exists etl_run_latest on ops.etl_run (pipeline, started_at desc);

-- How each selected stream ended in each run.
create table if not exists ops.stream_outcome (
    run_id text not null,
    stream text not null,
    outcome text not null,
    records_sent bigint not null,
    -- Null where the loader left no report.
    records_received bigint,
    quarantined bigint not null default 0,
    nulled_values bigint not null default 0,
    incomplete_parents bigint not null default 0,
    reason text,
    primary key (run_id, stream)
);
-- Version 3: a list that a schedule reads at an interval of its own may not be due.
alter table ops.stream_outcome drop constraint if exists stream_outcome_outcome_check;
alter table ops.stream_outcome add constraint stream_outcome_outcome_check check (
    outcome in (
        'complete', 'behind', 'not_due', 'not_permitted', 'refused', 'incomplete', 'interrupted'
    )
);

-- A backfill takes several runs and days; these are its options.
create table if not exists ops.backfill (
    backfill_id text primary key,
    environment text not null,
    streams text[] not null,
    from_date date,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    is_complete boolean not null default false
);
create unique index if not exists backfill_one_open on ops.backfill (environment) where finished_at is null;

comment on table ops.etl_run is 'Runs of pipeboard, one row each. Schema version 4.';
