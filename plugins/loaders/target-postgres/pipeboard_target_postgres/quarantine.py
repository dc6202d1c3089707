"""Isolating what PostgreSQL refuses, so that the rest of a batch loads."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec
import psycopg

from pipeboard_target_postgres.errors import one_line

#: SQLSTATEs that blame a row: data exception, integrity, limits, and what a trigger raises.
_REFUSALS = ("22", "23", "44", "54", "P0001")
_LINE = re.compile(r"^COPY .*?, line (\d+)")


class _Message(msgspec.Struct):
    record: msgspec.Raw


def is_refusal(exc: psycopg.Error) -> bool:
    """Return True if the error is about a row and not about the server, the rights or us."""
    if exc.sqlstate:
        return exc.sqlstate.startswith(_REFUSALS)
    # Refused by the driver before it reached the server.
    return isinstance(exc, psycopg.DataError)


def reason(exc: psycopg.Error) -> str:
    """Return what PostgreSQL said, with the column where it named one."""
    context = " ".join((exc.diag.context or "").split())
    where = context.partition(", column ")[2].partition(":")[0]
    text = exc.diag.message_primary or one_line(exc)
    return (f"column {where}: " if where else "") + f"{text} [{exc.sqlstate or 'client'}]"


def _parts(exc: psycopg.Error, low: int, high: int) -> list[tuple[int, int]]:
    """Split a refused range: around the row that the error names, else in halves."""
    hint = _LINE.search(exc.diag.context or "")
    at = low + int(hint[1]) - 1 if hint else -1
    if not low <= at < high:
        middle = (low + high) // 2
        return [(low, middle), (middle, high)]
    return [(a, b) for a, b in ((low, at), (at, at + 1), (at + 1, high)) if a < b]


def place(
    count: int,
    load: Callable[[int, int], None],
    refuse: Callable[[int, psycopg.Error], None],
) -> None:
    """Load all rows but those that PostgreSQL refuses, in order.

    Args:
        count: how many there are.
        load: loads a range of rows, wholly or (raising) not at all.
        refuse: told of each row refused.

    Raises:
        psycopg.Error: an error that is not about a row.
    """
    todo = [(0, count)]
    while todo:
        low, high = todo.pop()
        try:
            load(low, high)
        except psycopg.Error as exc:
            if not is_refusal(exc):
                raise
            if high - low == 1:
                refuse(low, exc)
            else:
                todo.extend(reversed(_parts(exc, low, high)))


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
