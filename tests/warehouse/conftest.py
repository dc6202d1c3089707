from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from warehouse_helpers import ROOT, Dbt, Warehouse

from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.postgres_binaries import Binaries, wheel_binaries

#: Creates a new database; the arguments are environment variables of its dbt.
NewWarehouse = Callable[..., Warehouse]
#: One name for all of them, one after the other: dbt parses the project anew for another one.
DATABASE = "warehouse"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order of the tests of a module: they share a set-up, and change it."""
    for item in items:
        item.add_marker(pytest.mark.random_order(disabled=True))


@pytest.fixture(scope="session")
def new_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewWarehouse]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("server"))
    named = os.environ.get("PIPEBOARD_POSTGRES_BIN")
    binaries = (
        Binaries(Path(named)) if named else wheel_binaries(ROOT / ".pipeboard" / "env" / "demo")
    )
    dbt_folder, dbt = tmp_path_factory.mktemp("dbt"), Dbt()

    def make(name: str, **settings: str) -> Warehouse:
        """Empty the database for the next module; the one before has no use for it any more."""
        url = server.start(binaries, DATABASE, fresh=True)[DATABASE]
        superuser = as_superuser(server, url)
        trade_safety_for_speed(superuser, conninfo_to_dict(url))
        return Warehouse(
            url, tmp_path_factory.mktemp(name), dbt_folder, dbt, settings,
            superuser={**superuser, "dbname": DATABASE},
        )  # fmt: skip

    yield make
    dbt.end()
    server.destroy()


def as_superuser(server: EmbeddedPostgres, url: str) -> dict[str, Any]:
    """Return what connects to the server as its superuser."""
    cluster = server.record.load()
    assert cluster is not None
    return {
        "host": "127.0.0.1", "port": conninfo_to_dict(url)["port"], "user": "postgres",
        "dbname": "postgres", "password": cluster.superuser_password, "autocommit": True,
    }  # fmt: skip


def trade_safety_for_speed(superuser: dict[str, Any], owner: dict[str, Any]) -> None:
    """Let the server not wait for the disk: what is in it is gone with the tests anyway.

    Nor hash a password thousands of times at each login: dbt logs in for each model and test.
    """
    with psycopg.connect(**superuser) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"alter system set {setting} = off".encode())
        connection.execute("select pg_reload_conf()")
        if connection.info.server_version >= 160_000:
            connection.execute("set scram_iterations = 1")
            password = sql.SQL("alter role {} password {}").format(
                sql.Identifier(owner["user"]), sql.Literal(owner["password"])
            )
            connection.execute(password)
