"""Rows of a batch as a source for the merge: a table of the session, or parameters.

The table is filled by COPY. A batch of few rows needs no table: its rows are parameters of the
merge, so that a small sync neither creates tables nor empties them.
"""

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
#: Not "on commit delete rows": each commit would empty all such tables of the session, used or not.
_OPTIONS = " with (toast_tuple_target = 8160)"
#: Up to so many rows a batch is merged from parameters; from about there on COPY is faster.
MOST_ROWS_AS_PARAMETERS = 200
#: Types whose values are read from a parameter as COPY reads them. Others are not: a length, for
#: example, is cut to in a parameter and refused in COPY.
_AS_PARAMETERS = frozenset(
    {
        *("smallint", "integer", "bigint", "numeric", "double precision", "real", "boolean"),
        *("text", "date", "timestamp with time zone", "timestamp without time zone", "uuid"),
        *("json", "jsonb"),
    }
)
#: Types whose values are equal exactly if their texts are equal (integers: in plain digits).
_BYTEWISE = frozenset({"smallint", "integer", "bigint", "text"})
_PLAIN = re.compile(rb"0|[1-9][0-9]*")
#: What is written differently in a line of COPY and in the text of an array.
_ODD_IN_ARRAY = re.compile(rb'\\(.)|"', re.DOTALL)
_IN_ARRAY = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"\\": b"\\\\", None: b'\\"'}
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
        self.name, self._columns, self._keys = name, columns, keys
        self._types = [c.type for c in columns]
        first = columns[: len(keys)]
        # A key that is nested or comes from the message is not in front.
        in_front = [c.name for c in first] == list(keys)
        self._key_types = [c.type for c in first] if in_front else []

    @property
    def _names(self) -> str:
        return ", ".join(quote(c.name) for c in self._columns)

    @property
    def query(self) -> str:
        """The rows as parameters, see `parameters`: a query in brackets."""
        arrays = ", ".join(f"%(c{at})s::{sql_type}[]" for at, sql_type in enumerate(self._types))
        return f"(select * from unnest({arrays}) as u ({self._names.replace('%', '%%')}))"

    def create(self, cursor: psycopg.Cursor) -> None:
        """Create the table, unless the session has it; it is empty."""
        body = ", ".join(
            f"{quote(c.name)} {c.type}" + (" not null" if c.name in self._keys else "")
            for c in self._columns
        )
        run(cursor, f"create temp table if not exists {self.name} ({body}){_OPTIONS}")

    def empty(self, cursor: psycopg.Cursor) -> None:
        """Empty the table again, in the transaction that has filled it."""
        run(cursor, f"truncate {self.name}")

    def parameters(self, rows: Sequence[bytes]) -> dict[str, str] | None:
        """Return the parameters of `query`; None if rows are too many, or of other types."""
        if len(rows) > MOST_ROWS_AS_PARAMETERS or not _AS_PARAMETERS.issuperset(self._types):
            return None
        columns = zip(*(row.split(b"\t") for row in rows), strict=True)
        try:
            return {
                f"c{at}": (b"{" + b",".join(map(_element, values)) + b"}").decode()
                for at, values in enumerate(columns)
            }
        except UnicodeDecodeError:  # COPY names the value
            return None

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
        copy_lines(cursor, f"copy {self.name} ({self._names}) from stdin", rows)

    def insert(self, cursor: psycopg.Cursor, rows: Sequence[bytes]) -> None:
        """Fill the table by INSERT, where COPY is not available (`use_copy: false`)."""
        one = "(" + ", ".join(f"%s::{sql_type}" for sql_type in self._types) + ")"
        statement = f"insert into {self.name} ({self._names}) values ".replace("%", "%%") + one
        execute: t.Any = cursor.executemany
        execute(statement, [fields(row) for row in rows])


def _element(field: bytes) -> bytes:
    """Return a field of COPY as an element in the text of an array."""
    if field == rb"\N":
        return b"NULL"
    if b"\\" in field or b'"' in field:
        field = _ODD_IN_ARRAY.sub(lambda m: _IN_ARRAY.get(m[1], m[1]), field)
    return b'"%b"' % field


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
