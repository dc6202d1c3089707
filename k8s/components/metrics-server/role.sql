-- The metrics server's role, run by the role that syncs: what dbt builds anew later is its own, so
-- default privileges reach it. Once before, as an administrator, and with a password of yours:
--   create role pipeboard_metrics login password '...' connection limit 3;
create schema if not exists ops;
create schema if not exists marts;
grant usage on schema ops, marts to pipeboard_metrics;
grant select on all tables in schema ops to pipeboard_metrics;
grant select on all tables in schema marts to pipeboard_metrics;
alter default privileges in schema ops grant select on tables to pipeboard_metrics;
alter default privileges in schema marts grant select on tables to pipeboard_metrics;
