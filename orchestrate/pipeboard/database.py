"""Database sessions of the supervisor, with limits for login and statements."""

from __future__ import annotations

import psycopg

#: Seconds for a login, and for a statement.
LOGIN_SECONDS, STATEMENT_SECONDS = 10, 60


def connect(url: str, login_seconds: int = LOGIN_SECONDS) -> psycopg.Connection:
    """Connect; every statement commits by itself."""
    connection = psycopg.connect(
        url, connect_timeout=login_seconds, autocommit=True, application_name="pipeboard"
    )
    # Not as a connection option: connection poolers refuse unknown ones.
    connection.execute(f"set statement_timeout = '{STATEMENT_SECONDS}s'".encode())
    return connection


def first_line(error: BaseException) -> str:
    """Return the part of libpq's message that names the error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    return first.rpartition("FATAL: ")[2].strip() or first
