"""The staging table of a stream: private to the session, filled by COPY, emptied at commit."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Sequence

import psycopg

from pipeboard_target_postgres.columns import Column
from pipeboard_target_postgres.sql import quote, run

#: Rows joined into one write: large enough to save calls, small enough for the processor's cache.
_ROWS_PER_WRITE = 200

#: Compressing rows that are moved at once costs more than the COPY itself.
_OPTIONS = " with (toast_tuple_target = 8160) on commit delete rows"
#: Types whose values are equal exactly if their texts are equal (integers: in plain digits).
_BYTEWISE = frozenset({"smallint", "integer", "bigint", "text"})
_PLAIN = re.compile(rb"0|[1-9][0-9]*")
_ESCAPE = re.compile(r"\\(.)")
_UNESCAPED = {"t": "\t", "n": "\n", "r": "\r"}


class Staging:
    """A temporary table with the types of the stream's table.

    Args:
        name: unique in the session, needs no quotes.
        columns: in the order of the fields of a line.
        keys: names of the key columns, in the order of `Table.keys`; null is refused in them.
    """

    def __init__(self, name: str, columns: Sequence[Column], keys: Sequence[str]) -> None:
        self.name = name
        body = ", ".join(
            f"{quote(c.name)} {c.type}" + (" not null" if c.name in keys else "") for c in columns
        )
        names = ", ".join(quote(c.name) for c in columns)
        self._create = f"create temp table {name} ({body})" + _OPTIONS
        self._copy = f"copy {name} ({names}) from stdin"
        self._insert = f"insert into {name} ({names}) values "
        self._types = [c.type for c in columns]
        first = columns[: len(keys)]
        # A key that is nested or comes from the message is not in front.
        in_front = [c.name for c in first] == list(keys)
        self._key_types = [c.type for c in first] if in_front else []

    def create(self, cursor: psycopg.Cursor) -> None:
        """Create the table; once per session."""
        run(cursor, self._create)

    def distinct_keys(self, rows: Sequence[bytes]) -> list[tuple[bytes, ...]] | None:
        """Return the key of each line; None if keys repeat or cannot be compared by their bytes.

        The fields of a key are in the order of `Table.keys`.
        """
        if not rows or not self._key_types or not set(self._key_types) <= _BYTEWISE:
            return None
        n = len(self._key_types)
        if n == 1:
            keys: list[tuple[bytes, ...]] = [(row.partition(b"\t")[0],) for row in rows]
        else:
            keys = [tuple(row.split(b"\t", n)[:n]) for row in rows]
        if len(set(keys)) < len(rows):
            return None
        numbers = [i for i, sql_type in enumerate(self._key_types) if sql_type != "text"]
        # 1 and "01" are one number in two spellings; plain digits have only one.
        plain = _PLAIN.fullmatch
        return keys if all(plain(key[i]) for i in numbers for key in keys) else None

    def copy(self, cursor: psycopg.Cursor, rows: Sequence[bytes]) -> None:
        """Fill the table by COPY with lines made by `RecordEncoder.encode`."""
        copy_lines(cursor, self._copy, rows)

    def insert(self, cursor: psycopg.Cursor, rows: Sequence[bytes]) -> None:
        """Fill the table by INSERT, where COPY is not available (`use_copy: false`)."""
        one = "(" + ", ".join(f"%s::{sql_type}" for sql_type in self._types) + ")"
        statement = self._insert.replace("%", "%%") + one
        execute: t.Any = cursor.executemany
        execute(statement, [fields(row) for row in rows])


def copy_lines(
    cursor: psycopg.Cursor, statement: str, rows: Sequence[bytes], end: bytes = b""
) -> None:
    """Send lines of COPY; the fields in `end` are added to each line."""
    begin: t.Any = cursor.copy
    end += b"\n"
    with begin(statement) as copy:
        for start in range(0, len(rows), _ROWS_PER_WRITE):
            copy.write(end.join(rows[start : start + _ROWS_PER_WRITE]) + end)


def fields(row: bytes) -> list[str | None]:
    """Split a line of COPY into its values."""
    return [
        None if field == r"\N" else _ESCAPE.sub(lambda m: _UNESCAPED.get(m[1], m[1]), field)
        for field in row.decode(errors="replace").split("\t")
    ]
