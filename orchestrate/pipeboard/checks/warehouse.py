"""Checks version and rights of the database, and creates the schema of Meltano's state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import errors, sql

from pipeboard.database import connect, first_line
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import STATE_SCHEMA
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.launch import DATABASE, TRANSFORM_DATABASE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeboard.console import Console
    from pipeboard.environments import Environment

OLDEST_SERVER = 150000
#: The schemas that the role that loads writes, and the role that builds; often it is one role.
LOADED = ("pipedrive", "ops", STATE_SCHEMA)
BUILT = ("staging", "intermediate", "marts", "snapshots", "test_failures", "ops")


def prepare_database(environment: Environment) -> str:
    """Check version and rights, create the state's schema, and return the server's version."""
    database, transformer = environment.database, environment.transformer
    if transformer:
        if transformer.database != database.database:
            what = f"{TRANSFORM_DATABASE} names {transformer.place}, {DATABASE} {database.place}"
            raise PipeboardError(what, "Name the same database in both", ExitCode.CONFIGURATION)
        with _connected(transformer, TRANSFORM_DATABASE) as connection:
            _check_rights(connection, transformer, BUILT)
    with _connected(database, DATABASE, embedded=environment.embedded) as connection:
        _check_server(connection, database)
        written = LOADED if transformer else tuple(dict.fromkeys((*LOADED, *BUILT)))
        _check_rights(connection, database, written)
        if not _schema_exists(connection, STATE_SCHEMA):
            connection.execute(
                sql.SQL("create schema if not exists {}").format(sql.Identifier(STATE_SCHEMA))
            )
        return connection.info.parameter_status("server_version") or ""


def show_connection(console: Console, url: str, *, embedded: bool) -> None:
    """Show how to connect. A password from .env is not shown."""
    if not console.for_people:
        return
    if embedded:
        console.line(f"Connect: psql '{url}'")
    else:
        text = f"Connect: psql 'postgresql://{DatabaseUrl.parse(url).place}'"
        console.line(f"{text}, with the password of PIPEBOARD_DATABASE_URL")


def _connected(
    database: DatabaseUrl, variable: str, *, embedded: bool = False
) -> psycopg.Connection:
    try:
        return connect(database.url)
    except psycopg.OperationalError as error:
        raise _no_connection(database, variable, error, embedded=embedded) from error
    except psycopg.Error as error:
        what = f"{variable} is not understood: {first_line(error)}"
        remedy = "Write postgresql://user:password@host:5432/database"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION) from error


def _check_server(connection: psycopg.Connection, database: DatabaseUrl) -> None:
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        what = f"{database.place} is PostgreSQL {version // 10000}, and 15 or newer is needed"
        remedy = "Upgrade the server, or name another one in PIPEBOARD_DATABASE_URL"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        what = f"the database {database.place} is encoded in {encoding}, not in UTF8"
        remedy = f"Create another one: create database {database.database} encoding 'UTF8'"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    read_only = connection.execute("show transaction_read_only").fetchone()
    if read_only == ("on",):
        what = f"{database.place} is read-only (a replica, or a role that may only read)"
        remedy = "Name the primary server and a role that may write in PIPEBOARD_DATABASE_URL"
        raise PipeboardError(what, remedy, ExitCode.NOT_PERMITTED)


def _check_rights(
    connection: psycopg.Connection, database: DatabaseUrl, schemas: Sequence[str]
) -> None:
    """Check that each schema may be created, or exists and may be written to."""
    row = connection.execute(
        """
        select has_database_privilege(current_database(), 'create'),
               has_database_privilege(current_database(), 'temporary')
        """
    ).fetchone()
    may_create, may_stage = row or (False, False)
    role = sql.Identifier(database.user).as_string(connection)
    name = sql.Identifier(database.database).as_string(connection)
    missing = [schema for schema in schemas if not _may_write(connection, schema, may_create)]
    if missing:
        what = f"the role {database.user} may not create or write {', '.join(missing)} in "
        what += database.place
        remedy = f"As the database's owner: grant create on database {name} to {role}"
        if may_create:
            remedy = f"Another role owns them: name it in {DATABASE}, or in {TRANSFORM_DATABASE} if"
            remedy += " `pipeboard roles` made one role that loads and one that builds"
        raise PipeboardError(what, remedy, ExitCode.NOT_PERMITTED)
    if not may_stage:
        what = f"the role {database.user} may not create temporary tables in {database.place}"
        remedy = f"As the database's owner: grant temporary on database {name} to {role}"
        raise PipeboardError(what, remedy, ExitCode.NOT_PERMITTED)


def _schema_exists(connection: psycopg.Connection, schema: str) -> bool:
    found = connection.execute("select 1 from pg_namespace where nspname = %s", [schema])
    return found.fetchone() is not None


def _may_write(connection: psycopg.Connection, schema: str, may_create: bool) -> bool:
    if not _schema_exists(connection, schema):
        return may_create
    row = connection.execute(
        "select has_schema_privilege(%(s)s, 'create') and has_schema_privilege(%(s)s, 'usage')",
        {"s": schema},
    ).fetchone()
    return row == (True,)


def _no_connection(
    database: DatabaseUrl, variable: str, error: psycopg.OperationalError, *, embedded: bool
) -> PipeboardError:
    text = first_line(error)
    if embedded:
        what = f"the embedded PostgreSQL does not answer: {text}"
        return PipeboardError(what, "Run `make stop`, then again", ExitCode.UNAVAILABLE)
    # The text of the server decides: libpq has no code for a refused session.
    if isinstance(error, errors.InvalidPassword) or "authentication failed" in text:
        what = f"the database refuses the password of {database.place}"
        remedy = f"Check user and password in {variable} (percent-encode special ones)"
        return PipeboardError(what, remedy, ExitCode.NOT_PERMITTED)
    if "does not exist" in text:
        what = f"{database.place}: {text}"
        remedy = f"Create it (createdb {database.database}), or mend {variable}"
        return PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    if "permission denied" in text or "pg_hba.conf" in text:
        what = f"the database does not let {database.place} in: {text}"
        remedy = "Ask its administrator for the right to connect from here"
        return PipeboardError(what, remedy, ExitCode.NOT_PERMITTED)
    what = f"the database {database.place} cannot be reached: {text}"
    remedy = f"Check {variable}, the server and the network"
    remedy += "; or leave it empty to use the embedded PostgreSQL" if variable == DATABASE else ""
    return PipeboardError(what, remedy, ExitCode.UNAVAILABLE)
