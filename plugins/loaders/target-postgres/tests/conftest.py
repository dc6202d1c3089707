"""Fixtures: a database, a schema per test, and the fast and slow path of a record."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Iterator

import hypothesis
import pytest
from loader_helpers import FALLBACK, Warehouse
from loader_server import Server

# An example's time depends on the machine, so it has no limit.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def server() -> Iterator[Server | None]:
    """The server that the tests started, or None if the environment names one."""
    if os.environ.get("PIPEBOARD_TEST_DATABASE_URL"):
        yield None
        return
    started = Server()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def url(server: Server | None) -> str:
    """Address of a database in which the tests may do anything."""
    return server.url if server else os.environ["PIPEBOARD_TEST_DATABASE_URL"]


@pytest.fixture
def warehouse(url: str) -> Iterator[Warehouse]:
    """A schema of the test's own."""
    made = Warehouse(url)
    yield made
    made.sql("drop schema if exists {s} cascade")
    made.sql("drop schema if exists {o} cascade")


@pytest.fixture(params=["fast", "fallback"])
def way(request: pytest.FixtureRequest) -> dict[str, t.Any]:
    """Settings that send records by the fast path, and through the SDK."""
    return {} if request.param == "fast" else dict(FALLBACK)
