"""Refused records: which errors are about a record, and what the quarantine stores of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import psycopg

#: SQLSTATEs of errors in a row: data exception, integrity, limits, and errors of a trigger.
_REFUSALS = ("22", "23", "44", "54", "P0001")


class _Message(msgspec.Struct):
    record: msgspec.Raw


def is_refusal(exc: psycopg.Error) -> bool:
    """Return True if the error is about a row, not about the server, the rights or the loader."""
    if exc.sqlstate:
        return exc.sqlstate.startswith(_REFUSALS)
    # Refused by the driver before it reached the server.
    return isinstance(exc, psycopg.DataError)


def record_of(line: bytes, keys: Sequence[str]) -> tuple[str, str | None]:
    """Return the record's JSON text and a JSON object of its keys (None if they are unreadable)."""
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
    # jsonb cannot store NUL, which may be the reason for the refusal.
    return text, key.replace("\\u0000", "\\ufffd")
