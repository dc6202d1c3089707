"""Warehouses for the cards: one server, and a database per account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml
from pipedrive_simulator.testing import running_simulator
from warehouse_kit import ROOT, Warehouse

from pipeboard.embedded_postgres import READER, EmbeddedPostgres
from pipeboard.postgres_binaries import Binaries

#: What no sync reads by default, but reports show when it is there.
MORE_STREAMS = ("goals", "teams")
#: Connects to a warehouse, by the name of its fixture, as who may only read marts and ops.
Reader = Callable[[str], psycopg.Connection[Any]]


@dataclass
class Server:
    """One PostgreSQL, and databases on it."""

    postgres: EmbeddedPostgres
    binaries: Binaries
    folder: Path

    def warehouse(self, name: str, **more: str) -> Warehouse:
        url = self.postgres.start(self.binaries, name, fresh=True)[name]
        (self.folder / name).mkdir()
        # With a world named, dbt keeps to the folders it is given: what was parsed once need not be
        # parsed again.
        settings = {"PIPEBOARD_WORLD": "tests", **more}
        return Warehouse(url, self.folder / name, dbt_folder=self.folder, settings=settings)

    def as_superuser(self, warehouse: Warehouse) -> psycopg.Connection[Any]:
        cluster = self.postgres.record.load()
        assert cluster is not None
        return psycopg.connect(
            warehouse.url, user="postgres", password=cluster.superuser_password, autocommit=True
        )

    def as_reader(self, warehouse: Warehouse) -> psycopg.Connection[Any]:
        """Connect as who may only read marts and ops, as Metabase does."""
        connection = self.as_superuser(warehouse)
        connection.execute(f"set session authorization {READER}")
        connection.execute("set default_transaction_read_only = on")
        return connection


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
