"""Quotes SQL identifiers, and runs statements that contain them."""

from __future__ import annotations

from typing import Any

import psycopg


def quote(*names: str) -> str:
    """Return the names as one quoted SQL identifier, for example "pipedrive"."deals"."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def run(cursor: psycopg.Cursor, statement: str, parameters: Any = None) -> int:
    """Execute a statement and return the number of affected rows.

    Without parameters the driver does not interpret %; with them, a % in a name must be doubled.
    """
    execute: Any = cursor.execute
    execute(statement, parameters)
    return cursor.rowcount
