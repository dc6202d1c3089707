"""Warehouses for the cards: a small demo account, an account of one deal, and none at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from pipeboard_metabase.definitions import Definitions, load
from pipedrive_simulator.testing import running_simulator
from warehouse_kit import ROOT, Warehouse

from pipeboard.embedded_postgres import READER, EmbeddedPostgres
from pipeboard.postgres_binaries import Binaries, wheel_binaries

DEALS = 1_500
#: What no sync reads by default, but reports show when it is there.
MORE_STREAMS = ("goals", "teams")


@dataclass
class Server:
    """One PostgreSQL, and databases on it."""

    postgres: EmbeddedPostgres
    binaries: Binaries
    folder: Path

    def warehouse(self, name: str, **more: str) -> Warehouse:
        url = self.postgres.start(self.binaries, name, fresh=True)[name]
        # The models are the same everywhere: what dbt parsed once need not be parsed again. With a
        # world named, dbt is not given another one, nor its folders.
        target = str(self.folder / "target")
        settings = {"PIPEBOARD_WORLD": "tests", "DBT_TARGET_PATH": target, **more}
        (self.folder / name).mkdir()
        return Warehouse(url, self.folder / name, settings)

    def as_reader(self, warehouse: Warehouse) -> psycopg.Connection[Any]:
        """Connect as who may only read marts and ops, as Metabase does."""
        cluster = self.postgres.record.load()
        assert cluster is not None
        connection = psycopg.connect(
            warehouse.url, user="postgres", password=cluster.superuser_password, autocommit=True
        )
        connection.execute(f"set session authorization {READER}")
        connection.execute("set default_transaction_read_only = on")
        return connection


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    return load()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("metabase")
    postgres = EmbeddedPostgres(folder / "server")
    named = os.environ.get("PIPEBOARD_POSTGRES_BIN")
    binaries = (
        Binaries(Path(named)) if named else wheel_binaries(ROOT / ".pipeboard" / "env" / "demo")
    )
    yield Server(postgres, binaries, folder)
    postgres.destroy()


def streams() -> list[str]:
    """What a sync reads, as meltano.yml names it."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    tap = next(p for p in project["plugins"]["extractors"] if p["name"] == "tap-pipedrive")
    return [*(rule.split(".")[0] for rule in tap["select"]), *MORE_STREAMS]


def filled(server: Server, name: str, deals: int, **more: str) -> Warehouse:
    warehouse = server.warehouse(name, PIPEDRIVE_COMPANY_DOMAIN="Acme", **more)
    with running_simulator(deals=deals) as simulator:
        source = {"api_url": simulator.url, "api_token": simulator.token}
        warehouse.sync(source, streams())
    warehouse.build("run")
    return warehouse


@pytest.fixture(scope="session")
def demo(server: Server) -> Warehouse:
    return filled(server, "demo", DEALS)


@pytest.fixture(scope="session")
def one_deal(server: Server) -> Warehouse:
    return filled(server, "one_deal", 1, PIPEDRIVE_API_URL="http://127.0.0.1:1")


@pytest.fixture(scope="session")
def nothing(server: Server) -> Warehouse:
    """A database that was never synced into: dbt alone ran."""
    warehouse = server.warehouse("nothing")
    warehouse.build("run")
    return warehouse


Reader = Callable[[str], psycopg.Connection[Any]]


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
