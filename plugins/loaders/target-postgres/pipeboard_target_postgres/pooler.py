"""A pooler between: in session mode all is well, in transaction mode nothing of ours would last."""

from __future__ import annotations

import contextlib
import select
import time
import typing as t

import psycopg

from pipeboard_target_postgres.errors import POOLER_REMEDY, ConfigurationError

#: How long a second connection is waited for; a pooler that has none to give pools sessions.
PROBE_SECONDS = 5


def backend_of(connection: psycopg.Connection) -> int:
    """Return the server's process that answers just now."""
    row = connection.execute("select pg_backend_pid()").fetchone()
    return int(t.cast("t.Any", row)[0])


def check(connection: psycopg.Connection) -> int | None:
    """Return the server's process if a pooler is between, None if there is none.

    A pooler makes up the process that it tells when the connection begins. That it gives our
    process to another connection, while we are connected, shows that it pools transactions.

    Args:
        connection: outside a transaction.

    Raises:
        ConfigurationError: the pooler pools transactions.
    """
    backend = backend_of(connection)
    connection.commit()
    if backend == connection.info.backend_pid:
        return None
    if _of_second_connection(connection.info.dsn, connection.info.password) == backend:
        raise transaction_pooling()
    # Prepared statements would stay behind in a process that others get.
    connection.prepare_threshold = None
    return backend


def transaction_pooling() -> ConfigurationError:
    """Return the error for a pooler that pools transactions."""
    return ConfigurationError(
        "Between us and PostgreSQL is a pooler that gives our session to others after each "
        f"transaction. {POOLER_REMEDY}."
    )


def _of_second_connection(dsn: str, password: str) -> int | None:
    """Return the server's process of another connection; None if there is none in time."""
    until = time.monotonic() + PROBE_SECONDS
    with (
        contextlib.suppress(psycopg.Error),
        contextlib.closing(
            psycopg.connect(dsn, password=password, connect_timeout=PROBE_SECONDS, autocommit=True)
        ) as second,
    ):
        second.pgconn.send_query(b"select pg_backend_pid()")
        while (rest := until - time.monotonic()) > 0:
            if select.select([second.fileno()], [], [], rest)[0]:
                second.pgconn.consume_input()
                if not second.pgconn.is_busy() and (result := second.pgconn.get_result()):
                    return int(t.cast("bytes", result.get_value(0, 0)))
    return None
