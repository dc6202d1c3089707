"""`pipeboard roles` on a real server: each role can do its work, and is refused the others'."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import yaml
from conftest import ROOT, Run
from project_under_test import DATABASE, Site, make_site

from pipeboard.database_url import DatabaseUrl
from pipeboard.local.embedded_postgres import EmbeddedPostgres

REFUSALS = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)


@dataclass(frozen=True)
class Roles:
    """A site after `pipeboard roles`, and a sync under its roles."""

    site: Site
    urls: dict[str, str]
    made: Run
    again: Run
    sync: Run

    def session(self, role: str) -> psycopg.Connection:
        url = next(u for u in self.urls.values() if DatabaseUrl.parse(u).user == role)
        return psycopg.connect(url, autocommit=True)

    def refuses(self, role: str, *statements: str) -> list[str]:
        """Return the statements that a role may run although it should not."""
        allowed = []
        with self.session(role) as connection:
            for statement in statements:
                try:
                    connection.execute(statement.encode())
                except REFUSALS:
                    continue
                allowed.append(statement)
        return allowed


def lines_of(file: Path) -> dict[str, str]:
    pairs = (line.partition("=") for line in file.read_text().splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


@pytest.fixture(scope="module")
def roles(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    with make_site(server, tmp_path_factory.mktemp("roles"), deals=60) as site:
        cluster = site.server.record.load()
        assert cluster is not None
        admin = DatabaseUrl.parse(site.url)
        superuser = admin.url.replace(
            f"{admin.user}:{admin.password}@", f"postgres:{cluster.superuser_password}@"
        )
        # What a role that did everything left behind is handed over.
        with psycopg.connect(site.url, autocommit=True) as connection:
            for schema in ("marts", "ops", "staging"):
                connection.execute(f"create schema {schema}")
            connection.execute("create table marts.dim_date (date_day date)")
            connection.execute("create view ops.ops_account as select 1 as x")
            connection.execute("create table ops.quarantine_of_old (record text)")
        made = site.run("roles", PIPEBOARD_ADMIN_DATABASE_URL=superuser)
        file = site.checkout.state / "roles.env"
        urls = lines_of(file)
        again = site.run("roles", PIPEBOARD_ADMIN_DATABASE_URL=superuser)
        assert lines_of(file) == urls
        assert file.stat().st_mode & 0o777 == 0o600
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute("drop table marts.dim_date")
            connection.execute("drop view ops.ops_account")
        site.given.update(urls)
        yield Roles(site, urls, made, again, site.run("run", "sync"))


def test_one_command_creates_the_roles_and_shows_no_password(roles: Roles) -> None:
    assert roles.made.code == 0, roles.made.err
    assert roles.again.code == 0, roles.again.err
    assert set(roles.urls) == {
        "PIPEBOARD_DATABASE_URL",
        "PIPEBOARD_TRANSFORM_DATABASE_URL",
        "PIPEBOARD_METRICS_DATABASE_URL",
        "METABASE_DATABASE_URL",
    }
    output = roles.made.out + roles.made.err + roles.again.out + roles.again.err
    assert not [url for url in roles.urls.values() if DatabaseUrl.parse(url).password in output]


def test_a_whole_sync_works_with_a_role_that_loads_and_one_that_builds(roles: Roles) -> None:
    assert roles.sync.code == 0, roles.sync.out + roles.sync.err
    owners = dict(
        roles.site.query(
            "select nspname || ' ' || pg_get_userbyid(relowner), count(*) from pg_class "
            "join pg_namespace on pg_namespace.oid = relnamespace "
            "where relkind in ('r', 'v', 'm') and nspname !~ '^(pg_|information_schema)' "
            "group by 1"
        )
    )
    assert set(owners) == {
        "pipedrive pipeboard",
        "meltano pipeboard",
        "ops pipeboard",
        "ops pipeboard_transform",
        *(
            f"{schema} pipeboard_transform"
            for schema in ("staging", "intermediate", "marts", "snapshots", "test_failures")
        ),
    }
    assert roles.site.query("select count(*) > 0 from marts.fct_deal") == [(True,)]


def test_the_loader_may_not_touch_what_is_built(roles: Roles) -> None:
    assert not roles.refuses(
        "pipeboard",
        "delete from marts.dim_date",
        "create table marts.intruder ()",
        "drop table marts.dim_date",
        "create table staging.intruder ()",
        "alter role metabase_ro password null",
    )


def test_the_transformer_reads_raw_and_may_not_change_it(roles: Roles) -> None:
    with roles.session("pipeboard_transform") as connection:
        assert connection.execute("select count(*) from pipedrive.deals").fetchone() != (0,)
        connection.execute("select stream, at from ops.quarantine")
    assert not roles.refuses(
        "pipeboard_transform",
        "delete from pipedrive.deals",
        "create table pipedrive.intruder ()",
        "drop table pipedrive.deals",
        "update ops.etl_run set status = 'succeeded'",
        "select * from meltano.state",
        "select record from ops.quarantine",
    )


def test_the_reader_reads_marts_and_ops_and_no_raw_record(roles: Roles) -> None:
    with roles.session("pipeboard") as connection:
        connection.execute(
            "insert into ops.quarantine (stream, reason, record, run_id) "
            "values ('deals', 'quotes Ana', '{\"name\": \"Ana\"}', 'test')"
        )
    with roles.session("metabase_ro") as connection:
        tables = connection.execute(
            "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables "
            "where schemaname in ('marts', 'ops') and tablename <> 'quarantine' union all "
            "select quote_ident(schemaname) || '.' || quote_ident(viewname) from pg_views "
            "where schemaname in ('marts', 'ops')"
        ).fetchall()
        assert len(tables) > 30
        for (table,) in tables:
            connection.execute(f"select * from {table} limit 1")
        found = connection.execute("select stream, at, times from ops.quarantine").fetchall()
        assert len(found) == 1
    assert not roles.refuses(
        "metabase_ro",
        "select * from pipedrive.deals",
        "select * from staging.stg_pipedrive__deals",
        "select * from intermediate.int_deal_current",
        "select * from meltano.state",
        "select record from ops.quarantine",
        "select reason from ops.quarantine",
        "select key from ops.quarantine",
        "table ops.quarantine",
        "delete from marts.dim_date",
        "create table marts.intruder ()",
        "create schema intruder",
        "create temporary table intruder ()",
    )


def test_the_metrics_role_answers_every_query_and_sees_no_deal(roles: Roles) -> None:
    text = (ROOT / "k8s" / "components" / "metrics-server" / "queries.yml").read_text()
    queries = yaml.safe_load(text.replace("!env", ""))
    with roles.session("pipeboard_metrics") as connection:
        for query in queries["queries"].values():
            assert connection.execute(query["sql"].encode()).description
        connection.execute("select status, reason from ops.etl_run")
    assert not roles.refuses(
        "pipeboard_metrics",
        "select * from marts.fct_deal",
        "select * from pipedrive.deals",
        "select record from ops.quarantine",
        "select * from meltano.state",
        "delete from ops.etl_run",
        "create table ops.intruder ()",
    )


def test_the_printed_sql_does_the_same_by_psql(roles: Roles) -> None:
    printed = roles.site.run("roles", "--print")
    cluster = roles.site.server.record.load()
    assert cluster is not None
    done = subprocess.run(
        [str(roles.site.binaries.folder / "psql"), "--no-psqlrc", "--quiet"]
        + [f"host=127.0.0.1 port={cluster.port} user=postgres dbname={DATABASE}"],
        input=printed.out,
        env={"PGPASSWORD": cluster.superuser_password, "TRANSFORM_PASSWORD": "changed by psql"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "changed by psql" not in done.stdout + done.stderr
    url = DatabaseUrl.parse(roles.urls["PIPEBOARD_TRANSFORM_DATABASE_URL"])
    changed = url.url.replace(f":{url.password}@", ":changed%20by%20psql@")
    psycopg.connect(changed).close()
    # The passwords that were not given are as before.
    roles.session("pipeboard").close()
