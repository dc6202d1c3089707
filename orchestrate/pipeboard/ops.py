"""The supervisor's tables in schema `ops`, made and brought up to date."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import psycopg

from pipeboard.problems import ExitCode, Problem

if TYPE_CHECKING:
    from pipeboard.database_url import DatabaseUrl

#: Stands in the comment that ops.sql leaves on etl_run; raise both with every change.
VERSION = "Schema version 1."


def migrate(connection: psycopg.Connection) -> bool:
    """Bring schema `ops` up to date; return whether there was anything to do.

    Several may try at once (a cluster's first runs), so they take turns.
    """
    try:
        return not _is_current(connection) and _bring_up_to_date(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        what = f"the tables of schema ops cannot be made: {str(error).splitlines()[0]}"
        remedy = "Run `pipeboard migrate` once as the owner of schema ops"
        raise Problem(what, remedy, ExitCode.NOT_PERMITTED) from error


def _bring_up_to_date(connection: psycopg.Connection) -> bool:
    script = resources.files("pipeboard").joinpath("ops.sql").read_text(encoding="utf-8")
    with connection.transaction():
        # The loader takes the same turn before it makes its tables here.
        connection.execute("select pg_advisory_xact_lock(hashtextextended('pipeboard:ops', 0))")
        connection.execute("set local client_min_messages = warning")
        if not _is_current(connection):
            # "if not exists" would ask for the right to create even where it exists.
            if not _schema_exists(connection):
                connection.execute("create schema ops")
            # Without parameters several statements go in one message.
            connection.execute(script.encode())
    return True


def migrate_database(database: DatabaseUrl) -> bool:
    """Bring schema `ops` of a database up to date."""
    with psycopg.connect(database.url, connect_timeout=10, autocommit=True) as connection:
        return migrate(connection)


def _schema_exists(connection: psycopg.Connection) -> bool:
    return connection.execute("select to_regnamespace('ops') is not null").fetchone() == (True,)


def _is_current(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        "select obj_description(to_regclass('ops.etl_run'), 'pg_class') like %s", [f"%{VERSION}"]
    ).fetchone()
    return row == (True,)
