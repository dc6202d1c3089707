"""A real PostgreSQL server for the tests, started by the code under test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pipeboard.database_url import DatabaseUrl
from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.postgres_binaries import Binaries, wheel_binaries


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    named = os.environ.get("PIPEBOARD_POSTGRES_BIN")
    return Binaries(Path(named)) if named else wheel_binaries(Path(sys.prefix))


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, binaries: Binaries
) -> Iterator[EmbeddedPostgres]:
    """A server that the tests of a session share."""
    found = EmbeddedPostgres(tmp_path_factory.mktemp("shared server") / "postgres")
    found.start(binaries)
    yield found
    found.destroy()


@pytest.fixture
def database(server: EmbeddedPostgres, binaries: Binaries) -> DatabaseUrl:
    """An empty database."""
    return DatabaseUrl(server.start(binaries, "test", fresh=True)["test"])


@pytest.fixture
def superuser(server: EmbeddedPostgres, database: DatabaseUrl) -> Iterator[psycopg.Connection]:
    """A session that may do everything in the empty database."""
    cluster = server.record.load()
    assert cluster is not None
    with psycopg.connect(
        database.url, user="postgres", password=cluster.superuser_password, autocommit=True
    ) as connection:
        yield connection
