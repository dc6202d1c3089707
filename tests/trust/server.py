"""A PostgreSQL of its own for the stories, which does not wait for the disk."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipeboard.local import embedded_postgres
from pipeboard.local.cluster import Cluster
from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.postgres_binaries import Binaries, wheel_binaries

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Server:
    """A running PostgreSQL, which a test may break."""

    embedded: EmbeddedPostgres
    binaries: Binaries
    url: str

    @property
    def cluster(self) -> Cluster:
        """Where it is, and its superuser."""
        cluster = self.embedded.record.load()
        assert cluster is not None
        return cluster

    def run_as_superuser(self, statement: str) -> None:
        """Run one statement."""
        with self._as_superuser() as connection:
            connection.execute(statement.encode())

    def ask_as_superuser(self, query: str) -> Any:
        """Return the one value of a query."""
        with self._as_superuser() as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]

    def _as_superuser(self) -> psycopg.Connection:
        parts = conninfo_to_dict(self.url)
        parts |= {"user": "postgres", "password": self.cluster.superuser_password}
        return psycopg.connect(make_conninfo(**parts), autocommit=True)

    def restart(self) -> None:
        """Kill it with all its sessions, as a power cut would, and start it again."""
        cluster = self.cluster
        postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
        listed = ["ps", "-o", "pid=", "--ppid", str(postmaster)]
        children = subprocess.run(listed, text=True, capture_output=True, check=False).stdout
        for pid in (postmaster, *map(int, children.split())):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.embedded.start(self.binaries, "trust")


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database."""
    with running(folder) as server:
        yield server.url


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Server]:
    """Yield a server with an empty database, and these settings beside those of the stories.

    What is in it is gone with the tests anyway, so it never waits for the disk. Only
    `synchronous_commit="on"` keeps what was committed when its processes are killed.
    """
    embedded_postgres.SETTINGS.update(
        {
            "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
            "shared_buffers": "32MB", **settings,
        }
    )  # fmt: skip
    server = EmbeddedPostgres(folder)
    named = os.environ.get("PIPEBOARD_POSTGRES_BIN")
    binaries = (
        Binaries(Path(named)) if named else wheel_binaries(ROOT / ".pipeboard" / "env" / "demo")
    )
    if binaries.major >= 16:  # a password that need not be strong makes a login three times as fast
        embedded_postgres.SETTINGS["scram_iterations"] = "1"
    try:
        url = server.start(binaries, "trust", fresh=True)["trust"]
        yield Server(server, binaries, url)
    finally:
        server.destroy()
