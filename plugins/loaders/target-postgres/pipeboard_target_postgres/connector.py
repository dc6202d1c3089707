"""The connection: session settings, types, and the target schema."""

from __future__ import annotations

import decimal
import functools
import typing as t
from pathlib import Path

import psycopg
import sqlalchemy
from singer_sdk.sql.connector import JSONSchemaToSQL
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, JSONB
from sqlalchemy.types import DATE, DECIMAL, TEXT, TIMESTAMP
from target_postgres.connector import PostgresConnector as StockConnector

from pipeboard_target_postgres import errors
from pipeboard_target_postgres.columns import type_name
from pipeboard_target_postgres.locks import DML_LOCK_TIMEOUT
from pipeboard_target_postgres.sql import quote, run
from pipeboard_target_postgres.termination import STOP

DRIVER = "postgresql+psycopg"
APPLICATION_NAME = "pipeboard target-postgres"
CONNECT_TIMEOUT_SECONDS = 15

#: Run on every new connection; overrides the defaults of server, database and role.
#: The session is in UTC, so that a time without an offset means UTC. JIT is off because compiling
#: a merge of dozens of columns costs more than the merge. A staging table is read three times; with
#: the default of 8 MB it is read from disk each time.
SESSION = f"""
set time zone 'UTC';
set application_name = '{APPLICATION_NAME}';
set datestyle = 'ISO, MDY';
set standard_conforming_strings = on;
set lock_timeout = '{DML_LOCK_TIMEOUT}';
set jit = off;
set temp_buffers = '32MB'
"""
_DIALECT = sqlalchemy.engine.make_url(f"{DRIVER}://").get_dialect()()

#: The stock connector's file -> its setting.
_SSL_SETTINGS = {
    "root.crt": "ssl_certificate_authority",
    "cert.crt": "ssl_client_certificate",
    "pkey.key": "ssl_client_private_key",
}


def _integer(schema: dict[str, t.Any]) -> sqlalchemy.types.TypeEngine[t.Any]:
    """Return bigint, or numeric if the schema says that its numbers may not fit."""
    for name in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        bound = schema.get(name)
        # A bound of 10^100 or more, or infinity, is no real limit.
        if isinstance(bound, (int, float, decimal.Decimal)) and (
            2**63 < abs(t.cast("int", bound)) < 10**100
        ):
            return DECIMAL()
    return BIGINT()


def _union(types: list[sqlalchemy.types.TypeEngine[t.Any]]) -> sqlalchemy.types.TypeEngine[t.Any]:
    """Return the narrowest type that can store the values of all types."""
    for kind in (JSONB, ARRAY):
        for sql_type in types:
            if isinstance(sql_type, kind):
                return sql_type
    if len({str(sql_type) for sql_type in types}) == 1:
        return types[0]
    if all(isinstance(sql_type, (BIGINT, DECIMAL)) for sql_type in types):
        return DECIMAL()
    if all(isinstance(sql_type, (TIMESTAMP, DATE)) for sql_type in types):
        return TIMESTAMP(timezone=True)
    return TEXT()


class PostgresConnector(StockConnector):
    """The stock connector with timestamptz, jsonb, UTC, and errors that name a remedy."""

    @functools.cached_property
    def jsonschema_to_sql(self) -> JSONSchemaToSQL:
        """Map JSON Schema to SQL: the stock types, except for times, integers and nested values."""
        to_sql = super().jsonschema_to_sql
        to_sql.register_type_handler("integer", _integer)
        to_sql.register_type_handler("object", lambda _: JSONB(none_as_null=True))
        to_sql.register_type_handler("array", lambda _: JSONB(none_as_null=True))
        to_sql.register_format_handler("date-time", lambda _: TIMESTAMP(timezone=True))
        return to_sql

    def to_sql_type(self, jsonschema_type: t.Any) -> sqlalchemy.types.TypeEngine[t.Any]:
        """Return the type of a column that can store every value the schema allows.

        A schema that is not an object (`true`, `[]`) allows any value, as `{}` does.
        """
        schema = jsonschema_type if isinstance(jsonschema_type, dict) else {}
        choices = schema.get("anyOf")
        if "type" not in schema and isinstance(choices, list):
            types = [
                self.to_sql_type(choice)
                for choice in choices
                if not (isinstance(choice, dict) and choice.get("type") in ("null", ["null"]))
            ]
            return _union(types) if types else TEXT()
        # Precision and scale become a part of the type's name.
        schema = {
            name: value
            for name, value in schema.items()
            if name not in {"precision", "scale"} or isinstance(value, int)
        }
        try:
            return super().to_sql_type(schema)
        except (TypeError, AttributeError):  # not a JSON Schema: any value is allowed
            return TEXT()

    def column_type(self, definition: t.Any) -> str:
        """Return the name of `to_sql_type`; a run has few different definitions."""
        known = repr(definition)
        if known not in self._column_types:
            self._column_types[known] = type_name(self.to_sql_type(definition), _DIALECT)
        return self._column_types[known]

    def filepath_or_certificate(
        self, value: str, alternative_name: str, restrict_permissions: bool = False
    ) -> str:
        """Return the path of a certificate or key, as the stock connector does.

        Raises:
            ConfigurationError: the value is neither a file nor a certificate or key.
        """
        if not Path(value).is_file() and "-----BEGIN" not in value:
            what = Path(alternative_name).name
            raise errors.ConfigurationError(
                f"The file for {_SSL_SETTINGS.get(what, what)} does not exist. Give its path, or "
                "the text of the certificate or key."
            )
        return str(super().filepath_or_certificate(value, alternative_name, restrict_permissions))

    def catch_signal(self, signum: int, frame: t.Any) -> None:
        """Handle signals as without a tunnel; the stock connector would replace the handlers."""
        STOP.handle(signum, frame)

    def __init__(self, config: dict[str, t.Any]) -> None:
        self._column_types: dict[str, str] = {}
        try:
            super().__init__(config)
        except ValueError as exc:  # the tunnel's key is wrong, or its address has no port
            raise errors.ConfigurationError(errors.one_line(exc)) from exc

    def connect(self) -> psycopg.Connection:
        """Open a connection with the settings of `SESSION`; it begins no transaction by itself.

        SQLAlchemy asks each new server for its version, types and settings; nothing here uses them.
        """
        url = sqlalchemy.engine.make_url(self.sqlalchemy_url)
        _, given = _DIALECT.create_connect_args(url)
        # A server or network that fails without closing the connection is noticed in two minutes.
        bounds = {
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "keepalives_idle": 60,
            "keepalives_interval": 10,
            "keepalives_count": 5,
            "tcp_user_timeout": 120_000,
        }
        # Rows go to COPY in UTF-8, even if the role or PGCLIENTENCODING sets another encoding.
        args: t.Any = {**bounds, **given, "client_encoding": "utf8"}
        connection = psycopg.connect(**args, autocommit=True)
        try:
            connection.execute(SESSION)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def role(self) -> str:
        """The database role that connects."""
        return sqlalchemy.engine.make_url(self.sqlalchemy_url).username or "current_user"

    @functools.cached_property
    def where(self) -> str:
        """Database, role, host and port, for messages; without the password."""
        url = sqlalchemy.engine.make_url(self.sqlalchemy_url)
        host = url.host or url.query.get("host") or "the local socket"
        return f"database {url.database or url.username!r} as {url.username!r} at {host}" + (
            f":{url.port}" if url.port else ""
        )

    def prepare_schema_with(self, cursor: psycopg.Cursor, schema: str) -> None:
        """Create the schema if it is missing, and check that the role may use it.

        Raises:
            NotPermittedError: names the role, the database and the statement to run.
        """
        cursor.execute(
            "select current_user, current_database(), n.oid is not null,"
            " coalesce(has_schema_privilege(n.oid, 'USAGE'), false),"
            " has_database_privilege(current_database(), 'CREATE')"
            " from (select 1) one left join pg_namespace n on n.nspname = %s",
            [schema],
        )
        role, database, exists, usable, creatable = t.cast("t.Any", cursor.fetchone())
        if exists:
            if not usable:
                raise errors.NotPermittedError(
                    f"Role {role} may not use schema {schema} of database "
                    f"{database}. As its owner run: GRANT USAGE, CREATE ON SCHEMA "
                    f"{quote(schema)} TO {quote(role)};"
                )
            return
        if not creatable:
            raise errors.NotPermittedError(
                f"Role {role} may not create schema {schema} in database {database}. As "
                f"its owner run: GRANT CREATE ON DATABASE {quote(database)} TO {quote(role)}; "
                f"or CREATE SCHEMA {quote(schema)} AUTHORIZATION {quote(role)};"
            )
        run(cursor, f"create schema if not exists {quote(schema)}")
