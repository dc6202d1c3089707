"""Errors: each has a message of one line with a remedy, and an exit code."""

from __future__ import annotations

import re

import psycopg
from singer_sdk.exceptions import (
    ConfigValidationError,
    InvalidJSONSchema,
    InvalidRecord,
    MappingError,
    MissingKeyPropertiesError,
    RecordsWithoutSchemaException,
)
from singer_sdk.singerlib.exceptions import InvalidInputLine

from pipeboard_target_postgres.memory import EX_UNAVAILABLE as EX_UNAVAILABLE
from pipeboard_target_postgres.memory import OUT_OF_MEMORY

EX_DATAERR = 65
EX_NOPERM = 77
EX_CONFIG = 78

_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@|(password\s*=\s*)('[^']*'|\S+)", re.IGNORECASE)
_REFUSED_LOGIN = re.compile(
    r"password authentication failed|no password supplied|pg_hba\.conf|is not permitted to log in"
    r"|role .* does not exist|permission denied for database",
    re.IGNORECASE,
)
_WRONG_FILE = re.compile(
    r"certificate|private key file|does not support SSL|could not load|SSL error.*file"
    r"|invalid (sslmode|URI|connection option|port)|sslmode value|invalid integer value"
    r"|bad value for",
    re.IGNORECASE,
)
#: Errors caused by a pooler that pools transactions: temporary tables and prepared statements fail.
_POOLER = re.compile(r"prepared statement|relation \"pb_(stage|seen)_")
_POOLER_STATES = frozenset({"26000", "42P05", "42P01", "42P07"})
POOLER_REMEDY = (
    "The loader needs a session of its own: connect to PostgreSQL directly, or to a pooler in "
    "session mode (PgBouncer: pool_mode = session)"
)
#: Schema, table, column or key is missing, or a type differs: a table changed during the load.
_CHANGED_MEANWHILE = frozenset({"3F000", "42P01", "42703", "42P10", "42804"})
#: What the server lacks, and what helps.
_SERVER_IS_SHORT = {
    "53100": ("the disk is full", "Free space"),
    "53200": ("the server is out of memory", "Give it more, or load smaller batches"),
}
_NO_DATABASE = re.compile(r"database .* does not exist", re.IGNORECASE)


class LoaderError(Exception):
    """A failure that the operator can mend: a message of one line, and an exit code."""

    exit_code = 1


class ConfigurationError(LoaderError):
    """A setting is missing or wrong."""

    exit_code = EX_CONFIG


class NotPermittedError(LoaderError):
    """The database role lacks a right."""

    exit_code = EX_NOPERM


class UnavailableError(LoaderError):
    """The database cannot be reached, closed the connection, or is full: try again later."""

    exit_code = EX_UNAVAILABLE


class DataRefusedError(LoaderError):
    """The input is not valid Singer, or too many records were refused."""

    exit_code = EX_DATAERR


class KeyMissingError(DataRefusedError, MissingKeyPropertiesError):
    """Too many records lack their key; also a subclass of the SDK's error for that."""


def redact(text: str) -> str:
    """Return the text with every password in an address or a DSN replaced by `***`."""
    return _PASSWORD.sub(lambda m: f"{m[1]}:***@" if m[1] is not None else f"{m[2]}***", text)


def one_line(exc: BaseException) -> str:
    """Return the exception's message on one line, without passwords and without rows.

    PostgreSQL's context of an error in COPY contains the row, so the context is removed.
    """
    text = str(exc) or type(exc).__name__
    if isinstance(exc, psycopg.Error) and exc.diag.context:
        text = text.partition(exc.diag.context)[0].rpartition("\n")[0] or text
    return redact(" ".join(text.split()))


def explain(exc: BaseException, where: str = "the database") -> LoaderError | None:
    """Translate an exception into a message of one line with a remedy.

    Args:
        exc: any exception.
        where: role, database and host for messages, without the password.

    Returns:
        The error to show, or None for a defect of the loader: then show the traceback.
    """
    if isinstance(exc, LoaderError):
        return exc
    if isinstance(exc, ConfigValidationError):
        return ConfigurationError("; ".join(map(redact, exc.errors)) or one_line(exc))
    if isinstance(exc, MappingError):
        return ConfigurationError(f"The stream maps cannot be applied: {one_line(exc)[:500]}")
    if isinstance(
        exc,
        (
            InvalidInputLine,
            InvalidJSONSchema,
            InvalidRecord,
            MissingKeyPropertiesError,
            RecordsWithoutSchemaException,
        ),
    ):
        # These messages quote the record; the log needs only the beginning.
        return DataRefusedError(f"The input cannot be loaded: {one_line(exc)[:500]}")
    if _is_out_of_memory(exc):
        return UnavailableError(OUT_OF_MEMORY)
    if isinstance(exc, psycopg.Error):
        return _explain_database(exc, where)
    if isinstance(exc, (FileNotFoundError, PermissionError)):
        return ConfigurationError(one_line(exc))
    if isinstance(exc, BrokenPipeError):
        return UnavailableError(
            "The reader of the states closed the pipe; nothing is lost, run again."
        )
    if type(exc).__name__ == "AuthenticationException":
        return NotPermittedError(f"The SSH tunnel refuses the login: {one_line(exc)}")
    if isinstance(exc, OSError) or type(exc).__module__.startswith("paramiko"):
        return UnavailableError(
            f"{where} cannot be reached: {one_line(exc)}. Check host and ssh_tunnel."
        )
    if isinstance(exc, RecursionError):
        return DataRefusedError("The input cannot be loaded: it is nested too deeply.")
    return None


def _is_out_of_memory(exc: BaseException) -> bool:
    """Tell whether this process, not the server, got no more memory."""
    if isinstance(exc, psycopg.Error):  # libpq's own errors have no state
        return not exc.sqlstate and "out of memory" in str(exc)
    # What Python says when the system gives it no memory for the stack of a thread.
    is_thread = isinstance(exc, RuntimeError) and "start new thread" in str(exc)
    return is_thread or isinstance(exc, MemoryError)


def _explain_database(error: psycopg.Error, where: str) -> LoaderError | None:
    state, text = error.sqlstate or "", one_line(error)
    if state == "42501":
        return NotPermittedError(
            f"{where}: {text}. Grant the right named here to the role, or let it own the object."
        )
    if state == "25006":
        return NotPermittedError(f"{where} is read only ({text}). Use the address of the primary.")
    if state.startswith("28") or (not state and _REFUSED_LOGIN.search(text)):
        return NotPermittedError(f"{where} refuses the login: {text}. Check role and password.")
    if state == "3D000" or (not state and _NO_DATABASE.search(text)):
        return ConfigurationError(f"{where}: {text}. Create it or correct the address.")
    if state in {"25P03", "25P04"}:
        return UnavailableError(
            f"{where} ended a transaction that took too long: {text}. Raise "
            "idle_in_transaction_session_timeout and transaction_timeout for the role, or load "
            "smaller batches (batch_size_rows); nothing is lost, run again."
        )
    if state == "57014" and "timeout" in text:
        return UnavailableError(
            f"{where} ended a statement that took too long: {text}. Raise statement_timeout for "
            "the role, or load smaller batches (batch_size_rows); nothing is lost, run again."
        )
    if state == "55P03":
        return UnavailableError(
            f"{where}: no lock within lock_timeout: {text}. Nothing is lost, run again."
        )
    if not state and _WRONG_FILE.search(text):
        return ConfigurationError(f"{where}: {text}. Correct the address or the file.")
    if _POOLER.search(text) and state in _POOLER_STATES:
        return ConfigurationError(f"{where}: {text}. {POOLER_REMEDY}")
    if state in _CHANGED_MEANWHILE:
        return UnavailableError(
            f"{where}: {text}. A table was changed or dropped while it was loaded. Run again: "
            "missing tables and columns are created, but dropped rows need a full refresh."
        )
    if state[:2] == "23":
        return DataRefusedError(
            f"{where}: {text}. A constraint refuses the quarantined record. Drop the constraint."
        )
    if state[:2] == "54":
        return DataRefusedError(
            f"{where}: {text}. The stream exceeds a limit of PostgreSQL. Deselect some of its "
            "properties."
        )
    if state in _SERVER_IS_SHORT:
        what, remedy = _SERVER_IS_SHORT[state]
        return UnavailableError(f"{where}: {what} ({text}). {remedy}, then run again.")
    if state[:2] in {"08", "53", "57", "58"} or isinstance(error, psycopg.OperationalError):
        return UnavailableError(
            f"{where} cannot be reached or closed the connection: {text}. Check that it runs and "
            "that host and port are right; nothing is lost, run again."
        )
    return None
