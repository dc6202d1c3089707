"""Warehouses for the cards: one server, and a database per account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml
from pipedrive_simulator.testing import running_simulator
from warehouse_helpers import ROOT, Dbt, Warehouse

from pipeboard.local.embedded_postgres import READER, EmbeddedPostgres
from pipeboard.local.postgres_binaries import Binaries

#: What no sync reads by default, but reports show when it is there.
MORE_STREAMS = ("currencies", "goals", "teams")
#: Connects to a warehouse, by the name of its fixture, as who may only read marts and ops.
Reader = Callable[[str], psycopg.Connection[Any]]
#: Every warehouse is built under one name: of another one dbt would parse the project anew.
BUILDING = "building"


@dataclass
class Server:
    """One PostgreSQL, and databases on it."""

    postgres: EmbeddedPostgres
    binaries: Binaries
    folder: Path
    dbt: Dbt

    def warehouse(self, name: str, database: str = "", **more: str) -> Warehouse:
        """Make an empty database, called like the warehouse unless another name is given."""
        database = database or name
        url = self.postgres.start(self.binaries, database, fresh=True)[database]
        (self.folder / name).mkdir()
        return Warehouse(
            url, self.folder / name, self.folder, self.dbt, {"DBT_WRITE_JSON": "true", **more}
        )

    @contextmanager
    def building(self, name: str, **more: str) -> Iterator[Warehouse]:
        """Make a warehouse that is filled in the block; its database has its name afterwards."""
        warehouse = self.warehouse(name, BUILDING, **more)
        yield warehouse
        with self.as_superuser(warehouse, dbname="postgres") as session:
            session.execute(f"alter database {BUILDING} rename to {name}".encode())
        warehouse.url = warehouse.url.removesuffix(BUILDING) + name

    def as_superuser(self, warehouse: Warehouse, **other: str) -> psycopg.Connection[Any]:
        cluster = self.postgres.record.load()
        assert cluster is not None
        return psycopg.connect(
            warehouse.url, user="postgres", password=cluster.superuser_password, autocommit=True,
            **other,
        )  # fmt: skip

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


#: Gives pipelines, stages, users, products, activity types, fields and options the names of others.
EQUAL_NAMES = """
    update pipedrive.pipelines set name = 'Vendas';
    update pipedrive.stages set name = 'Etapa ' || order_nr;
    update pipedrive.users set name = 'Ana Souza' where id % 3 <> 0;
    update pipedrive.products set name = 'Plano' where id % 3 <> 0;
    update pipedrive.activity_types set name = 'Contato' where id % 3 <> 0;
    update pipedrive.deal_fields set
        field_name = 'Campo',
        options = (
            select jsonb_agg(option || jsonb_build_object('label', 'Sim'))
            from jsonb_array_elements(options) as option
        )
    where is_custom_field and jsonb_typeof(options) = 'array'
"""


def filled(
    server: Server, name: str, deals: int, *, changes: str | None = None, **more: str
) -> Warehouse:
    """Return a warehouse with a simulated account, its raw tables changed by a statement."""
    with (
        server.building(name, PIPEDRIVE_COMPANY_DOMAIN="Acme", **more) as warehouse,
        running_simulator(deals=deals) as simulator,
    ):
        source = {"api_url": simulator.url, "api_token": simulator.token}
        warehouse.sync(source, streams())
        if changes:
            warehouse.write(changes)
        warehouse.build("run")
    return warehouse
