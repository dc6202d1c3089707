"""The loader's session: kept for a whole run, made anew when it is lost."""

from __future__ import annotations

import logging
import time
import typing as t
from collections.abc import Callable

import psycopg
import sqlalchemy.exc

from pipeboard_target_postgres import errors
from pipeboard_target_postgres.connector import PostgresConnector
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
        self._pooled: t.Any = None
        #: Counts connections: temporary tables of an earlier one are gone.
        self.generation = 0

    def connection(self) -> psycopg.Connection:
        """Return the connection, made if need be."""
        if self._pooled is None:
            self._pooled = self._connector._engine.raw_connection()
            self.generation += 1
            with self._pooled.driver_connection.cursor() as cursor:
                run(cursor, _SETTINGS)
            self._pooled.driver_connection.commit()
        return t.cast("psycopg.Connection", self._pooled.driver_connection)

    def close(self) -> None:
        """Give up the connection; temporary tables go with it."""
        if self._pooled is not None:
            self._pooled.invalidate()
            self._pooled.close()
            self._pooled = None

    def persist(self, work: Callable[[], t.Any], retry: bool) -> t.Any:
        """Run a transaction; after a lost connection, run it again as soon as there is a new one.

        Merging twice is as merging once, so even a commit whose answer was lost may be repeated.
        Appending twice is not: without keys there is no second try.

        Args:
            work: the transaction, from begin to commit.
            retry: whether it may be run again.

        Raises:
            Exception: what the work raised, if that was no lost connection or lasted too long.
        """
        deadline: float | None = None
        pause = 0.2
        while True:
            try:
                return work()
            except (psycopg.Error, sqlalchemy.exc.DBAPIError) as exc:
                self._forget()
                if not (retry and _lost(exc)):
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
                time.sleep(pause)
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
