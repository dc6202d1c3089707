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
from pipeboard.local.services import Services
from pipeboard.paths import Paths

ROLES = ROOT / "k8s" / "components" / "postgres" / "roles.sql"
PASSWORD = 'it\'s $a "password"'
WAREHOUSE = ("pipeboard", "pipeboard_transform", "pipeboard_metrics", "metabase_ro")
LOGINS = (*WAREHOUSE, "metabase", "prefect")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A fresh server on which roles.sql ran as the image's entry point runs it, by psql."""
    state_dir = os.environ.get("PIPEBOARD_STATE_DIR")
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
    if state_dir:
        os.environ["PIPEBOARD_STATE_DIR"] = state_dir


def connect(place: dict[str, str], role: str, database: str) -> psycopg.Connection:
    return psycopg.connect(user=role, password=PASSWORD, dbname=database, autocommit=True, **place)


def test_each_role_connects_to_its_own_database_only(place: dict[str, str]) -> None:
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


def test_each_role_reads_what_others_build_anew_and_nothing_else(place: dict[str, str]) -> None:
    # As a run does it: what the roles may do in a whole sync is tested in tests/end_to_end.
    with connect(place, "pipeboard", "pipeboard") as loader:
        loader.execute("create table pipedrive.t as select 1 as x")
        loader.execute("create table ops.run as select 1 as x")
    with connect(place, "pipeboard_transform", "pipeboard") as transformer:
        assert transformer.execute("select x from pipedrive.t").fetchall() == [(1,)]
        transformer.execute("create table marts.t as select 1 as x")
        transformer.execute("create table ops.ops_t as select 1 as x")
    may = {
        "pipeboard": {"pipedrive.t", "marts.t", "ops.run", "ops.ops_t"},
        "pipeboard_transform": {"pipedrive.t", "marts.t", "ops.run", "ops.ops_t"},
        "pipeboard_metrics": {"ops.run", "ops.ops_t"},
        "metabase_ro": {"marts.t", "ops.run", "ops.ops_t"},
    }
    for role in WAREHOUSE:
        with connect(place, role, "pipeboard") as session:
            reads = set()
            for table in ("pipedrive.t", "marts.t", "ops.run", "ops.ops_t"):
                try:
                    session.execute(f"select x from {table}".encode())
                    reads.add(table)
                except psycopg.errors.InsufficientPrivilege:
                    continue
            assert reads == may[role], role
    for role in ("pipeboard_metrics", "metabase_ro"):
        with connect(place, role, "pipeboard") as reader:
            for write in ("delete from ops.run", "create table ops.u ()", "create schema s"):
                with pytest.raises(
                    (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
                ):
                    reader.execute(write.encode())


def test_prefect_has_the_extension_that_only_a_superuser_may_bring(place: dict[str, str]) -> None:
    with connect(place, "prefect", "prefect") as connection:
        assert connection.execute("select similarity('flow', 'flows') > 0").fetchone() == (True,)
        connection.execute("create table public.t ()")
