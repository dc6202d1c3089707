"""The run lock: an advisory lock in the warehouse, held while any process of a run is alive."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg

from pipeboard.errors import ExitCode, PipeboardError

if TYPE_CHECKING:
    from pipeboard.database_url import DatabaseUrl

#: Both ends detect a dead connection within a minute; by default TCP takes two hours, during which
#: the lock would stay taken.
ALIVE: dict[str, Any] = {
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 4,
    "tcp_user_timeout": 60_000,
}
SESSION = """
    select set_config('idle_session_timeout', '0', false),
           set_config('statement_timeout', '60s', false),
           set_config('tcp_keepalives_idle', '20', false),
           set_config('tcp_keepalives_interval', '10', false),
           set_config('tcp_keepalives_count', '4', false)
"""


def lock_name(concurrency_group: str) -> str:
    """Return the name of the lock. PostgreSQL keeps locks of different databases apart."""
    return f"pipeboard:{concurrency_group}"


class RunLock:
    """A session that holds, or waits for, the lock of one concurrency group."""

    def __init__(self, database: DatabaseUrl, concurrency_group: str, run_id: str) -> None:
        """Connect.

        Raises:
            PipeboardError: the database cannot be reached.

        """
        self._database = database
        self.concurrency_group = concurrency_group
        self._run_id = run_id
        try:
            self.connection = self._connect()
        except psycopg.OperationalError as error:
            what = f"the database {database.place} cannot be reached"
            raise PipeboardError(
                what, "Check PIPEBOARD_DATABASE_URL", ExitCode.UNAVAILABLE
            ) from error

    def _connect(self) -> psycopg.Connection:
        connection = psycopg.connect(
            self._database.url,
            connect_timeout=10,
            autocommit=True,
            application_name=f"pipeboard {self._run_id}",
            **ALIVE,
        )
        connection.execute(SESSION)
        return connection

    def take(self) -> bool:
        """Take the lock if it is free; return whether that worked."""
        row = self.connection.execute(
            "select pg_try_advisory_lock(hashtextextended(%s, 0))",
            [lock_name(self.concurrency_group)],
        ).fetchone()
        return row == (True,)

    def retake(self) -> bool:
        """Try once to connect and lock again, after the connection was lost."""
        self.close()
        with contextlib.suppress(psycopg.Error):
            self.connection = self._connect()
            return self.take()
        return False

    @property
    def socket(self) -> int:
        """The descriptor of the socket; every process with a copy of it holds the lock."""
        return self.connection.fileno()

    def close(self) -> None:
        """Release the lock."""
        with contextlib.suppress(psycopg.Error, OSError):
            self.connection.close()


def is_locked(connection: psycopg.Connection, concurrency_group: str) -> bool:
    """Tell whether a run of the group holds the lock, without taking it."""
    row = connection.execute(
        """
        select exists (
            select from pg_locks
            where locktype = 'advisory' and granted and objsubid = 1
              and database = (select oid from pg_database where datname = current_database())
              and (classid::bigint << 32) | objid::bigint = hashtextextended(%s, 0)
        )
        """,
        [lock_name(concurrency_group)],
    ).fetchone()
    return row == (True,)
