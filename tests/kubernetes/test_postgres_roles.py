"""What roles.sql makes, on a real server: each consumer gets in where it should, only there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from conftest import ROOT

from pipeboard.console import Console
from pipeboard.paths import Paths
from pipeboard.services import Services

ROLES = ROOT / "k8s" / "components" / "postgres" / "roles.sql"
PASSWORD = 'it\'s $a "password"'
LOGINS = ("pipeboard", "pipeboard_metrics", "metabase_ro", "metabase", "prefect")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A fresh server on which roles.sql ran as the image's entry point runs it, by psql."""
    kept = os.environ.get("PIPEBOARD_STATE_DIR")
    os.environ["PIPEBOARD_STATE_DIR"] = str(tmp_path_factory.mktemp("server"))
    services = Services(Paths(ROOT))
    url = services.start_postgres(Console(), "pipeboard_first")
    found = psycopg.conninfo.conninfo_to_dict(url)
    cluster = services.postgres.record.load()
    assert cluster is not None
    server = {"host": str(found["host"]), "port": str(found["port"])}
    secret = cluster.superuser_password
    with psycopg.connect(
        user="postgres", password=secret, dbname="postgres", autocommit=True, **server
    ) as first:
        # The embedded server has roles of these names already; an image's empty volume has not.
        first.execute("alter role pipeboard rename to embedded")
        first.execute("alter role bi_read rename to embedded_reader")
    administrator = psycopg.conninfo.make_conninfo(user="postgres", dbname="postgres", **server)
    psql = services.binaries().folder / "psql"
    ran = subprocess.run(
        [str(psql), "--no-psqlrc", "--quiet", "--file", str(ROLES), administrator],
        env={
            **os.environ,
            "PGPASSWORD": secret,
            **dict.fromkeys(re.findall(r"getenv \w+ (\w+)", ROLES.read_text()), PASSWORD),
        },
        text=True,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    yield server
    services.stop()
    services.postgres.destroy()
    os.environ.pop("PIPEBOARD_STATE_DIR")
    if kept:
        os.environ["PIPEBOARD_STATE_DIR"] = kept


def connect(place: dict[str, str], role: str, database: str) -> psycopg.Connection:
    return psycopg.connect(user=role, password=PASSWORD, dbname=database, autocommit=True, **place)


def test_everyone_gets_into_their_own_database_only(place: dict[str, str]) -> None:
    own = {"metabase": {"metabase"}, "prefect": {"prefect"}}
    for role in LOGINS:
        entered = set()
        for database in ("pipeboard", "metabase", "prefect"):
            try:
                connect(place, role, database).close()
            except psycopg.OperationalError as error:
                assert "permission denied" in str(error)
            else:
                entered.add(database)
        assert entered == own.get(role, {"pipeboard"}), role


def test_readers_read_ops_and_marts_built_anew_and_nothing_raw(place: dict[str, str]) -> None:
    with connect(place, "pipeboard", "pipeboard") as owner:
        owner.execute("create schema pipedrive")
        for schema in ("pipedrive", "marts", "ops"):
            owner.execute(f"drop table if exists {schema}.t")
            owner.execute(f"create table {schema}.t as select 1 as x")
    for role in ("pipeboard_metrics", "metabase_ro"):
        with connect(place, role, "pipeboard") as reader:
            for schema in ("marts", "ops"):
                assert reader.execute(f"select x from {schema}.t").fetchall() == [(1,)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("select * from pipedrive.t")
            for write in ("delete from marts.t", "create table marts.u ()", "create schema s"):
                with pytest.raises(
                    (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
                ):
                    reader.execute(write)


def test_prefect_has_the_extension_that_only_a_superuser_may_bring(place: dict[str, str]) -> None:
    with connect(place, "prefect", "prefect") as connection:
        assert connection.execute("select similarity('flow', 'flows') > 0").fetchone() == (True,)
        connection.execute("create table public.t ()")
