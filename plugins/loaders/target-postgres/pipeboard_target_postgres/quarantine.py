"""What PostgreSQL refuses: which errors blame a record, and what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import psycopg

#: SQLSTATEs that blame a row: data exception, integrity, limits, and what a trigger raises.
_REFUSALS = ("22", "23", "44", "54", "P0001")


class _Message(msgspec.Struct):
    record: msgspec.Raw


def is_refusal(exc: psycopg.Error) -> bool:
    """Return True if the error is about a row and not about the server, the rights or us."""
    if exc.sqlstate:
        return exc.sqlstate.startswith(_REFUSALS)
    # Refused by the driver before it reached the server.
    return isinstance(exc, psycopg.DataError)


def record_of(line: bytes, keys: Sequence[str]) -> tuple[str, str | None]:
    """Return the record's JSON text and, as a JSON object, its keys if they can be told."""
    try:
        record = bytes(msgspec.json.decode(line, type=_Message).record)
    except (msgspec.MsgspecError, RecursionError):
        return line.decode(errors="backslashreplace"), None
    text = record.decode(errors="backslashreplace")
    try:
        found = msgspec.json.decode(record, type=dict[str, msgspec.Raw])
        key = msgspec.json.encode({k: found[k] for k in keys}).decode()
        msgspec.json.decode(key)
    except (msgspec.MsgspecError, RecursionError, KeyError, ValueError):
        return text, None
    # jsonb cannot hold the NUL that may be the very reason for the refusal.
    return text, key.replace("\\u0000", "\\ufffd")
