from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from warehouse_kit import ROOT, Warehouse

from pipeboard.embedded_postgres import EmbeddedPostgres
from pipeboard.postgres_binaries import Binaries, wheel_binaries

#: Makes a new database: a name, and what its dbt is told by environment.
NewWarehouse = Callable[..., Warehouse]


@pytest.fixture(scope="session")
def new_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewWarehouse]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("server"))
    named = os.environ.get("PIPEBOARD_POSTGRES_BIN")
    binaries = (
        Binaries(Path(named)) if named else wheel_binaries(ROOT / ".pipeboard" / "env" / "demo")
    )

    def make(name: str, **settings: str) -> Warehouse:
        url = server.start(binaries, name, fresh=True)[name]
        return Warehouse(url, tmp_path_factory.mktemp(name), settings)

    yield make
    server.destroy()
