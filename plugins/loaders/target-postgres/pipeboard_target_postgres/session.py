"""The loader's session: one for the whole run; a lost one is replaced."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import typing as t
from collections.abc import Callable

import psycopg

from pipeboard_target_postgres import errors, pooler
from pipeboard_target_postgres.connector import PostgresConnector
from pipeboard_target_postgres.locks import PAUSE_SECONDS, LockWait


class Session:
    """One connection; its temporary tables exist as long as it is open.

    Args:
        connector: opens connections.
        reconnect_seconds: how long to try again after a lost connection.
        forget: called after a failed transaction, whose new tables do not exist.
        logger: logs lost connections.
    """

    def __init__(
        self,
        connector: PostgresConnector,
        reconnect_seconds: float,
        forget: Callable[[], None],
        logger: logging.Logger,
    ) -> None:
        self._connector, self._reconnect_seconds = connector, reconnect_seconds
        self._forget, self._logger = forget, logger
        self._behind_pooler: int | None = None
        self._connection: psycopg.Connection | None = None
        self._cancelled = threading.Event()
        #: Number of connections so far; temporary tables of an earlier one no longer exist.
        self.generation = 0

    def connection(self) -> psycopg.Connection:
        """Return the connection; open it if it is closed.

        Raises:
            UnavailableError: the run is being stopped.
        """
        if self._cancelled.is_set():
            raise errors.UnavailableError("The load was cancelled because the run is stopping.")
        if self._connection is None:
            self._connection = self._connector.connect()
            self.generation += 1
            self._behind_pooler = pooler.check(self._connection)
        return self._connection

    def check_pooler(self, connection: psycopg.Connection) -> None:
        """In a transaction: check that the server process is still the same.

        Raises:
            ConfigurationError: a pooler has given the connection another process.
        """
        backend = self._behind_pooler
        if backend is not None and pooler.backend_of(connection) != backend:
            raise pooler.transaction_pooling()

    def close(self) -> None:
        """Close the connection; its temporary tables are dropped."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def cancel(self) -> None:
        """Cancel the running statement from another thread, and refuse new work."""
        self._cancelled.set()
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.cancel_safe(timeout=2)

    def run_with_retries(
        self, work: Callable[[], t.Any], retry: bool, lock_wait: LockWait
    ) -> t.Any:
        """Run a transaction; after a lost connection, run it again on a new one.

        A merge can be repeated, so even a commit without an answer is run again. An append cannot:
        without keys there is no second try. A transaction that was rolled back because it did not
        get a lock is always run again.

        Args:
            work: the transaction, from begin to commit.
            retry: whether it may be run again after a lost connection.
            lock_wait: limits the wait for a lock.

        Raises:
            Exception: the error of the work: no lost connection, or lost for too long.
        """
        deadline: float | None = None
        pause = 0.2
        while True:
            try:
                return work()
            except psycopg.errors.LockNotAvailable:
                self._forget()
                lock_wait.timed_out(self.connection())
                self._cancelled.wait(PAUSE_SECONDS)
            except psycopg.Error as exc:
                self._forget()
                # A failed first connection is not a lost one: the caller can start the run again.
                if not (retry and _lost(exc)) or not self.generation or self._cancelled.is_set():
                    raise
                self.close()
                now = time.monotonic()
                if deadline is None:
                    deadline = now + self._reconnect_seconds
                    self._logger.warning(
                        "Connection lost (%s); trying again for up to %g s.",
                        errors.one_line(exc),
                        self._reconnect_seconds,
                    )
                if now >= deadline:
                    raise
                self._cancelled.wait(pause)
                pause = min(2 * pause, 5.0)
            except BaseException:
                self._forget()
                raise


def _lost(exc: psycopg.Error) -> bool:
    """Return True for an error after which the same transaction may succeed."""
    if exc.sqlstate:
        return exc.sqlstate.startswith(("08", "57P", "40"))
    return isinstance(exc, psycopg.OperationalError)
