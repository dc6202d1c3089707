-- Run once, on an empty volume: one role and one database per consumer, so that none needs another's
-- password. Passwords come from Secret `postgres`.
\set ON_ERROR_STOP on
\getenv warehouse_password WAREHOUSE_PASSWORD
\getenv metrics_password METRICS_PASSWORD
\getenv reader_password READER_PASSWORD
\getenv metabase_password METABASE_PASSWORD
\getenv prefect_password PREFECT_PASSWORD

-- The jobs: owner of all they make.
create role pipeboard login password :'warehouse_password';
create database pipeboard owner pipeboard encoding 'UTF8' template template0;

-- The metrics server, and Grafana's tables of runs.
create role pipeboard_metrics login password :'metrics_password' connection limit 10;

-- What Metabase shows to people: it may read, and not for long.
create role bi_read nologin;
create role metabase_ro login password :'reader_password' in role bi_read connection limit 15;
alter role metabase_ro set default_transaction_read_only = on;
alter role metabase_ro set statement_timeout = '60s';

-- Metabase's and Prefect's own tables.
create role metabase login password :'metabase_password';
create database metabase owner metabase;
create role prefect login password :'prefect_password';
create database prefect owner prefect;
revoke connect on database pipeboard, metabase, prefect from public;
grant connect on database pipeboard to pipeboard_metrics, bi_read;

\connect pipeboard
revoke all on schema public from public;
-- As the role that will fill them: its default privileges reach what dbt builds anew.
set role pipeboard;
create schema ops;
create schema marts;
grant usage on schema ops, marts to pipeboard_metrics, bi_read;
alter default privileges in schema ops grant select on tables to pipeboard_metrics, bi_read;
alter default privileges in schema marts grant select on tables to pipeboard_metrics, bi_read;

\connect prefect
-- Prefect looks for similar names by trigrams; only a superuser may bring the extension.
create extension pg_trgm;
