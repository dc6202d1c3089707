"""Detects a connection pooler that pools transactions.

The loader needs one session for its temporary tables; a pooler in session mode provides it, one in
transaction mode does not.
"""

from __future__ import annotations

import contextlib
import select
import time
import typing as t

import psycopg

from pipeboard_target_postgres.errors import POOLER_REMEDY, ConfigurationError

#: How long to wait for a second connection; a pooler that has none free pools sessions.
PROBE_SECONDS = 5


def backend_of(connection: psycopg.Connection) -> int:
    """Return the process number of the server process that serves this connection now."""
    row = connection.execute("select pg_backend_pid()").fetchone()
    return int(t.cast("t.Any", row)[0])


def check(connection: psycopg.Connection) -> int | None:
    """Return the server's process number if there is a pooler, None if there is none.

    At the start of a connection a pooler reports an invented process number. If it gives the same
    server process to a second connection while the first is open, it pools transactions.

    Args:
        connection: one that begins no transaction by itself.

    Raises:
        ConfigurationError: the pooler pools transactions.
    """
    backend = backend_of(connection)
    if backend == connection.info.backend_pid:
        return None
    if _of_second_connection(connection.info.dsn, connection.info.password) == backend:
        raise transaction_pooling()
    # Prepared statements would stay in a server process that other clients get later.
    connection.prepare_threshold = None
    return backend


def transaction_pooling() -> ConfigurationError:
    """Return the error for a pooler that pools transactions."""
    return ConfigurationError(
        "The connection goes through a pooler that gives the session to other clients after each "
        f"transaction. {POOLER_REMEDY}."
    )


def _of_second_connection(dsn: str, password: str) -> int | None:
    """Return the process number of a second connection; None if it cannot be had in time."""
    until = time.monotonic() + PROBE_SECONDS
    with (
        contextlib.suppress(psycopg.Error),
        contextlib.closing(
            psycopg.connect(dsn, password=password, connect_timeout=PROBE_SECONDS, autocommit=True)
        ) as second,
    ):
        second.pgconn.send_query(b"select pg_backend_pid()")
        while (rest := until - time.monotonic()) > 0 and select.select([second], [], [], rest)[0]:
            second.pgconn.consume_input()
            if not second.pgconn.is_busy() and (result := second.pgconn.get_result()):
                return int(t.cast("bytes", result.get_value(0, 0)))
    return None
