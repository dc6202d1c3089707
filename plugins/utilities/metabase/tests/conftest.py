"""Warehouses for the cards: a small demo account, an account of one deal, and none at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from card_helpers import EQUAL_NAMES, Reader, Server, filled
from pipeboard_metabase.definitions import Definitions, load
from warehouse_helpers import ROOT, Dbt, Warehouse

from pipeboard.local import embedded_postgres
from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.postgres_binaries import Binaries, wheel_binaries

DEALS = 1_500


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    return load()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    embedded_postgres.SETTINGS["fsync"] = "off"  # what is in it is gone with the tests anyway
    folder = tmp_path_factory.mktemp("metabase")
    postgres = EmbeddedPostgres(folder / "server")
    named = os.environ.get("PIPEBOARD_POSTGRES_BIN")
    binaries = (
        Binaries(Path(named)) if named else wheel_binaries(ROOT / ".pipeboard" / "env" / "demo")
    )
    dbt = Dbt()
    yield Server(postgres, binaries, folder, dbt)
    dbt.end()
    postgres.destroy()


@pytest.fixture(scope="session")
def demo(server: Server) -> Warehouse:
    """An account where much has the same name: what groups by names is wrong on it."""
    return filled(server, "demo", DEALS, changes=EQUAL_NAMES)


@pytest.fixture(scope="session")
def one_deal(server: Server) -> Warehouse:
    return filled(server, "one_deal", 1, PIPEDRIVE_API_URL="http://127.0.0.1:1")


@pytest.fixture(scope="session")
def nothing(server: Server) -> Warehouse:
    """A database that was never synced into: dbt alone ran."""
    with server.building("nothing") as warehouse:
        warehouse.build("run")
    return warehouse


@pytest.fixture(scope="session")
def reader(server: Server, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """Return a connection per warehouse, by the name of its fixture."""
    connections: dict[str, psycopg.Connection[Any]] = {}

    def connection(name: str) -> psycopg.Connection[Any]:
        if name not in connections:
            connections[name] = server.as_reader(request.getfixturevalue(name))
        return connections[name]

    yield connection
    for each in connections.values():
        each.close()
