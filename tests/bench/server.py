"""The PostgreSQL that all contenders write to: the embedded one, with its shipped settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from pipeboard.environments import STATE_SCHEMA
from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.loopback import HOST
from pipeboard.local.postgres_binaries import Binaries

DATABASE = "bench"


class Server:
    """A cluster of our own, made for this run and deleted after it."""

    def __init__(self, state: Path, binaries: Binaries) -> None:
        self._postgres = EmbeddedPostgres(state)
        self.url = self._postgres.start(binaries, DATABASE, fresh=True)[DATABASE]
        with psycopg.connect(self.url) as owner:
            owner.execute(f"create schema {STATE_SCHEMA}")
        cluster = self._postgres.record.load()
        assert cluster is not None
        self._admin = psycopg.connect(
            host=HOST,
            port=cluster.port,
            user="postgres",
            password=cluster.superuser_password,
            dbname=DATABASE,
            autocommit=True,
        )
        self._postmaster = psutil.Process(
            int((cluster.data / "postmaster.pid").read_text().splitlines()[0])
        )

    def close(self) -> None:
        """Delete it, and everything in it."""
        self._admin.close()
        self._postgres.destroy()

    @property
    def version(self) -> str:
        """What the server calls itself."""
        return str(self._one("show server_version"))

    def settle(self) -> None:
        """Write out changed pages, so that no measurement pays for an earlier one."""
        self._admin.execute("checkpoint")

    def wal(self) -> int:
        """Return how many bytes were written to the log, ever."""
        return int(self._one("select pg_current_wal_insert_lsn() - '0/0'"))

    def cpu_seconds(self) -> float:
        """Return the processor time of the server: of those who ended, and of those who work."""
        times = self._postmaster.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in self._postmaster.children():
            with contextlib.suppress(psutil.Error):
                own = child.cpu_times()
                total += own.user + own.system
        return float(total)

    def count(self, schema: str, table: str, where: str = "true") -> int:
        """Count rows of a table."""
        return int(self._one(f'select count(*) from "{schema}"."{table}" where {where}'))

    def columns(self, schema: str, table: str) -> dict[str, str]:
        """Return name and type of each column of a table."""
        query = (
            "select column_name, data_type from information_schema.columns "
            "where table_schema = %s and table_name = %s order by ordinal_position"
        )
        return dict(self._admin.execute(query, [schema, table]).fetchall())

    def execute(self, query: str) -> None:
        """Run a statement that prepares what is measured."""
        self._admin.execute(query.encode())

    def drop(self, *schemas: str) -> None:
        """Drop schemas with all that is in them."""
        for name in schemas:
            self._admin.execute(
                sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(name))
            )

    @contextmanager
    def limited(self, limits: Mapping[str, str]) -> Iterator[None]:
        """Set limits for every session that begins meanwhile."""
        database = sql.Identifier(DATABASE)
        for name, value in limits.items():
            statement = sql.SQL("alter database {} set {} = {}")
            self._admin.execute(
                statement.format(database, sql.Identifier(name), sql.Literal(value))
            )
        try:
            yield
        finally:
            for name in limits:
                statement = sql.SQL("alter database {} reset {}")
                self._admin.execute(statement.format(database, sql.Identifier(name)))

    def _one(self, query: str) -> Any:
        row = self._admin.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]
