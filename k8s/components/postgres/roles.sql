-- Run once, on an empty volume: one role and one database per consumer, so that none needs another's
-- password. Passwords come from Secret `postgres`.
\set ON_ERROR_STOP on
\set transform_password ''
\getenv warehouse_password WAREHOUSE_PASSWORD
\getenv transform_password TRANSFORM_PASSWORD
\getenv metrics_password METRICS_PASSWORD
\getenv reader_password READER_PASSWORD
\getenv metabase_password METABASE_PASSWORD
\getenv prefect_password PREFECT_PASSWORD

create database pipeboard encoding 'UTF8' template template0;

-- Metabase's and Prefect's own tables.
create role metabase login password :'metabase_password';
create database metabase owner metabase;
create role prefect login password :'prefect_password';
create database prefect owner prefect;
revoke all on database pipeboard, metabase, prefect from public;

\connect prefect
-- Prefect looks for similar names by trigrams; only a superuser may bring the extension.
create extension pg_trgm;

\connect pipeboard
revoke all on schema public from public;
select
    set_config('pipeboard.warehouse_password', :'warehouse_password', false),
    set_config('pipeboard.transform_password', :'transform_password', false),
    set_config('pipeboard.metrics_password', :'metrics_password', false),
    set_config('pipeboard.reader_password', :'reader_password', false)
\g /dev/null

-- roles of a warehouse: from here to the end plain SQL, which `pipeboard roles` runs in any database.
-- Run again, it changes what is not as it says. An empty password leaves the one that a role has.
do $roles$
declare
    -- Who owns what is there already, where one role did everything.
    before name := (
        select pg_get_userbyid(nspowner) from pg_catalog.pg_namespace where nspname in ('pipedrive', 'ops')
        order by nspname desc limit 1
    );
    item record;
    given text;
    wanted name;
begin
    -- pipeboard loads: supervisor, Meltano and loader. pipeboard_transform builds: dbt. pipeboard_metrics
    -- counts: metrics server, Grafana. bi_read reads: Metabase logs in as metabase_ro.
    for item in
        select * from (values
            ('pipeboard', 'warehouse', 'login'),
            ('pipeboard_transform', 'transform', 'login'),
            ('pipeboard_metrics', 'metrics', 'login connection limit 10'),
            ('bi_read', '', 'nologin'),
            ('metabase_ro', 'reader', 'login connection limit 15')
        ) as roles (name, secret, options)
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = item.name) then
            execute format('create role %I %s', item.name, item.options);
        end if;
        given := nullif(current_setting(format('pipeboard.%s_password', item.secret), true), '');
        if given is not null then
            execute format('alter role %I password %L', item.name, given);
        end if;
        execute format(
            'grant connect %s on database %I to %I',
            case when item.secret in ('warehouse', 'transform') then ', create, temporary' else '' end,
            current_database(), item.name
        );
        -- Only its members may hand something over to a role.
        if item.secret in ('warehouse', 'transform') and not pg_has_role(item.name, 'usage') then
            execute format('grant %I to %I', item.name, current_user);
        end if;
    end loop;
    grant bi_read to metabase_ro;
    -- For what `pipeboard` itself reads of the marts: which histories come first, what `status` says.
    if not pg_has_role('pipeboard', 'bi_read', 'usage') then
        grant bi_read to pipeboard;
    end if;
    alter role metabase_ro set default_transaction_read_only = on;
    alter role metabase_ro set statement_timeout = '60s';
    alter role metabase_ro set idle_in_transaction_session_timeout = '30s';

    for item in
        select * from (values
            ('pipedrive', 'pipeboard'), ('ops', 'pipeboard'), ('meltano', 'pipeboard'),
            ('staging', 'pipeboard_transform'), ('intermediate', 'pipeboard_transform'),
            ('marts', 'pipeboard_transform'), ('snapshots', 'pipeboard_transform'),
            ('test_failures', 'pipeboard_transform')
        ) as schemas (name, owner)
    loop
        execute format('create schema if not exists %I', item.name);
        execute format('alter schema %I owner to %I', item.name, item.owner);
    end loop;

    -- Change the owner of existing relations. In ops, dbt owns the relations named ops_. Relations of
    -- other roles keep their owner.
    for item in
        select
            pg_class.oid::regclass as relation,
            nspname,
            pg_get_userbyid(relowner) as owner,
            nspname not in ('pipedrive', 'ops', 'meltano') or (nspname = 'ops' and relname like 'ops\_%') as built
        from pg_catalog.pg_class
        inner join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
        where
            relkind in ('r', 'p', 'v', 'm')
            and not relispartition
            and nspname in (
                'pipedrive', 'ops', 'meltano', 'staging', 'intermediate', 'marts', 'snapshots', 'test_failures'
            )
    loop
        wanted := case when item.built then 'pipeboard_transform' else 'pipeboard' end;
        if item.owner <> wanted and item.owner in (before, 'pipeboard', 'pipeboard_transform') then
            execute format('alter table %s owner to %I', item.relation, wanted);
        end if;
        if item.nspname = 'marts' then
            execute format('grant select on %s to bi_read', item.relation);
        elsif item.nspname = 'pipedrive' then
            execute format('grant select on %s to pipeboard_transform', item.relation);
        elsif item.nspname = 'ops' and item.relation is distinct from to_regclass('ops.quarantine') then
            execute format('grant select on %s to pipeboard_transform, pipeboard_metrics, bi_read', item.relation);
        end if;
    end loop;

    grant usage on schema pipedrive to pipeboard_transform;
    grant usage, create on schema ops to pipeboard_transform;
    grant usage on schema ops to pipeboard_metrics;
    revoke usage on schema marts from pipeboard_metrics;
    grant usage on schema ops, marts to bi_read;
    -- What comes later. Of refused records the loader lets others read how many and when, not what:
    -- see quarantine in its README.
    alter default privileges for role pipeboard in schema pipedrive grant select on tables to pipeboard_transform;
    alter default privileges for role pipeboard in schema ops
    grant select on tables to pipeboard_transform, pipeboard_metrics, bi_read;
    alter default privileges for role pipeboard_transform in schema ops
    grant select on tables to pipeboard_metrics, bi_read;
    alter default privileges for role pipeboard_transform in schema marts grant select on tables to bi_read;
end
$roles$;
