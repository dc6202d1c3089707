"""The supervisor's tables in schema `ops`, made and brought up to date."""

from __future__ import annotations

import time
from importlib import resources
from typing import TYPE_CHECKING

import psycopg

from pipeboard.database import connect, first_line
from pipeboard.errors import ExitCode, PipeboardError

if TYPE_CHECKING:
    from pipeboard.console import Console
    from pipeboard.database_url import DatabaseUrl

#: It is in the comment that ops.sql sets on etl_run; raise both with every change.
VERSION = "Schema version 4."
#: Seconds to wait for other sessions that change or read the same tables.
LOCK_SECONDS = 60.0
#: The loader takes the same lock before it creates its tables.
TURN = "hashtextextended('pipeboard:ops', 0)"
#: The sessions that hold this lock or one of the tables.
BLOCKERS = f"""
    select string_agg(distinct format(
        'process %s (%s, %s since %s UTC)', activity.pid,
        coalesce(nullif(activity.application_name, ''), 'without a name'), activity.state,
        to_char(activity.state_change at time zone 'UTC', 'HH24:MI:SS')
    ), ', ')
    from pg_locks as held
    inner join pg_stat_activity as activity using (pid)
    where held.granted and held.pid <> pg_backend_pid()
      and held.database = (select oid from pg_database where datname = current_database())
      and (
          held.relation in (to_regclass('ops.etl_run')::oid, to_regclass('ops.backfill')::oid)
          or held.locktype = 'advisory' and held.objsubid = 1
             and (held.classid::bigint << 32) | held.objid::bigint = {TURN}
      )
"""


def migrate(connection: psycopg.Connection, console: Console | None = None) -> bool:
    """Bring schema `ops` up to date; return whether there was anything to do.

    Several may try at once (a cluster's first runs), so they take turns.
    """
    try:
        if _is_current(connection):
            return False
        _wait_for_turn(connection, console)
        try:
            return _bring_up_to_date(connection)
        finally:
            connection.execute(f"select pg_advisory_unlock({TURN})".encode())
    except psycopg.errors.LockNotAvailable as error:
        raise _locked(connection) from error
    except psycopg.errors.InsufficientPrivilege as error:
        what = f"the tables of schema ops cannot be made: {first_line(error)}"
        remedy = "Run `pipeboard migrate` once as the owner of schema ops"
        raise PipeboardError(what, remedy, ExitCode.NOT_PERMITTED) from error


def _wait_for_turn(connection: psycopg.Connection, console: Console | None) -> None:
    """Take the lock for changes of schema `ops`."""
    began = time.monotonic()
    is_announced = False
    while True:
        row = connection.execute(f"select pg_try_advisory_lock({TURN})".encode()).fetchone()
        if row == (True,):
            return
        if time.monotonic() - began > LOCK_SECONDS:
            raise _locked(connection)
        if console and not is_announced:
            is_announced = True
            text = f"waiting up to {LOCK_SECONDS:.0f} s for {_blockers(connection)}"
            console.note("migrate", text)
        time.sleep(0.2)


def _bring_up_to_date(connection: psycopg.Connection) -> bool:
    script = resources.files("pipeboard.run").joinpath("ops.sql").read_text(encoding="utf-8")
    with connection.transaction():
        connection.execute("set local client_min_messages = warning")
        connection.execute(f"set local lock_timeout = '{LOCK_SECONDS / 2:.0f}s'".encode())
        if _is_current(connection):
            return False
        # "if not exists" requires the right to create even if the schema exists.
        if not _schema_exists(connection):
            connection.execute("create schema ops")
        # Without parameters, psycopg sends several statements at once.
        connection.execute(script.encode())
    return True


def _locked(connection: psycopg.Connection) -> PipeboardError:
    what = f"the tables of schema ops are locked by {_blockers(connection)}"
    return PipeboardError(what, "End it, or run again later", ExitCode.UNAVAILABLE)


def _blockers(connection: psycopg.Connection) -> str:
    row = connection.execute(BLOCKERS.encode(), prepare=False).fetchone()
    return str(row[0]) if row and row[0] else "another session"


def migrate_database(database: DatabaseUrl, console: Console | None = None) -> bool:
    """Bring schema `ops` of a database up to date."""
    with connect(database.url) as connection:
        return migrate(connection, console)


def _schema_exists(connection: psycopg.Connection) -> bool:
    return connection.execute("select to_regnamespace('ops') is not null").fetchone() == (True,)


def _is_current(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        "select obj_description(to_regclass('ops.etl_run'), 'pg_class') like %s", [f"%{VERSION}"]
    ).fetchone()
    return row == (True,)
