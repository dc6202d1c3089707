"""The loader's session: kept for a whole run, made anew when it is lost."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import typing as t
from collections.abc import Callable

import psycopg
import sqlalchemy
import sqlalchemy.exc

from pipeboard_target_postgres import errors, pooler
from pipeboard_target_postgres.connector import PostgresConnector
from pipeboard_target_postgres.locks import PAUSE_SECONDS, LockWait
from pipeboard_target_postgres.sql import run

#: A staging table is read three times; with the default 8 MB each time from the disk's cache.
_SETTINGS = "set temp_buffers = '32MB'"


class Session:
    """One connection, with temporary tables that live as long as it does.

    Args:
        connector: makes connections.
        reconnect_seconds: how long to try again after a lost one.
        forget: told when a transaction failed: what it made is not there.
        logger: told of lost connections.
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
        self._checked_out: sqlalchemy.Connection | None = None
        self._cancelled = threading.Event()
        #: Counts connections: temporary tables of an earlier one are gone.
        self.generation = 0

    def connection(self) -> psycopg.Connection:
        """Return the connection, made if need be.

        Raises:
            UnavailableError: the run is being stopped.
        """
        if self._cancelled.is_set():
            raise errors.UnavailableError("The load was cancelled, since the run is being stopped.")
        if self._checked_out is None:
            self._checked_out = self._connector._engine.connect()
            self.generation += 1
            connection = self._driver(self._checked_out)
            with connection.cursor() as cursor:
                run(cursor, _SETTINGS)
            connection.commit()
            self._behind_pooler = pooler.check(connection)
        return self._driver(self._checked_out)

    def check_pooler(self, connection: psycopg.Connection) -> None:
        """In a transaction: make sure that a pooler has not given us another process.

        Raises:
            ConfigurationError: it has.
        """
        backend = self._behind_pooler
        if backend is not None and pooler.backend_of(connection) != backend:
            raise pooler.transaction_pooling()

    @staticmethod
    def _driver(checked_out: sqlalchemy.Connection) -> psycopg.Connection:
        return t.cast("psycopg.Connection", checked_out.connection.driver_connection)

    def close(self) -> None:
        """Give up the connection; temporary tables go with it."""
        if self._checked_out is not None:
            self._checked_out.invalidate()
            self._checked_out.close()
            self._checked_out = None

    def cancel(self) -> None:
        """End what is under way, from another thread, and begin nothing new."""
        self._cancelled.set()
        checked_out = self._checked_out
        if checked_out is not None:
            with contextlib.suppress(psycopg.Error, sqlalchemy.exc.SQLAlchemyError):
                self._driver(checked_out).cancel_safe(timeout=2)

    def persist(
        self, work: Callable[[], t.Any], retry: bool, lock_wait: LockWait | None = None
    ) -> t.Any:
        """Run a transaction; after a lost connection, run it again as soon as there is a new one.

        Merging twice is as merging once, so even a commit whose answer was lost may be repeated.
        Appending twice is not: without keys there is no second try. A transaction that was rolled
        back for want of a lock may be run again in any case.

        Args:
            work: the transaction, from begin to commit.
            retry: whether it may be run again after a lost connection.
            lock_wait: bounds the wait for a lock; None if none is waited for.

        Raises:
            Exception: what the work raised, if that was no lost connection or lasted too long.
        """
        deadline: float | None = None
        pause = 0.2
        while True:
            try:
                return work()
            except psycopg.errors.LockNotAvailable:
                self._forget()
                if lock_wait is None:
                    raise
                lock_wait.timed_out(self.connection())
                self._cancelled.wait(PAUSE_SECONDS)
            except (psycopg.Error, sqlalchemy.exc.DBAPIError) as exc:
                self._forget()
                # The first connection is not a lost one: whoever starts us can try again.
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


def _lost(exc: BaseException) -> bool:
    """Return True for an error after which the same transaction may succeed."""
    error = errors.database_error(exc)
    if error is None:
        return False
    if error.sqlstate:
        return error.sqlstate.startswith(("08", "57P", "40"))
    return isinstance(error, psycopg.OperationalError)
