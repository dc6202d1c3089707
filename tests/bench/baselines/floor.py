"""The floor of a loader: COPY into a staging table, then INSERT ... ON CONFLICT DO UPDATE.

`prepare` turns a Singer file into CSV and is not timed. `load` takes such a file; `pipe` takes
the Singer messages themselves on standard input and makes the CSV on its way.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import psycopg

NULL = "\\N"
TYPES = {"integer": "bigint", "number": "numeric", "boolean": "boolean", "string": "text"}
FORMATS = {"date-time": "timestamptz", "date": "date"}
Columns = list[tuple[str, str]]
Send = Callable[[bytes], object]


class Lines:
    """Takes what csv writes, gives what COPY reads."""

    def __init__(self, send: Send) -> None:
        self.write = lambda text: send(text.encode())


def columns_of(schema: dict[str, Any]) -> Columns:
    """Return name and type of each column."""
    columns = []
    for name, entry in schema["properties"].items():
        (kind,) = [k for k in entry.get("type", ["object"]) if k != "null"]
        columns.append((name, FORMATS.get(entry.get("format")) or TYPES.get(kind, "jsonb")))
    return columns


def write_rows(lines: Iterable[bytes], columns: Columns, out: Any) -> None:
    """Write the records among Singer messages as CSV."""
    encode, decode = msgspec.json.encode, msgspec.json.decode
    names = [(name, kind == "jsonb") for name, kind in columns]
    write = csv.writer(out).writerow
    for line in lines:
        message = decode(line)
        if message["type"] == "RECORD":
            get = message["record"].get
            write(
                [
                    NULL if (v := get(name)) is None else encode(v).decode() if nested else v
                    for name, nested in names
                ]
            )


def load(
    url: str, schema: str, columns: Columns, key: list[str], send_rows: Callable[[Send], None]
) -> None:
    """Load one table, in one transaction."""
    table = f'"{schema}"."deals"'
    names = ", ".join(f'"{name}"' for name, _ in columns)
    typed = ", ".join(f'"{name}" {kind}' for name, kind in columns)
    keys = ", ".join(key)
    changes = ", ".join(f'"{n}" = excluded."{n}"' for n, _ in columns if n not in key)
    with psycopg.connect(url) as connection:
        run: Callable[[str], object] = connection.execute
        run(f'create schema if not exists "{schema}"')
        run(f"create table if not exists {table} ({typed}, primary key ({keys}))")
        run(f"create temp table staged (like {table}) on commit drop")
        copy_statement: Any = f"copy staged ({names}) from stdin (format csv, null '{NULL}')"
        with connection.cursor().copy(copy_statement) as copy:
            send_rows(copy.write)
        run(
            f"insert into {table} ({names}) select {names} from staged "
            f"on conflict ({keys}) do update set {changes}"
        )


def load_file(url: str, schema: str, file: str) -> None:
    """Load a CSV file, whose first line is the schema message."""
    with Path(file).open("rb") as source:
        columns, key = head(source)

        def send_rows(send: Send) -> None:
            while block := source.read(1 << 18):
                send(block)

        load(url, schema, columns, key, send_rows)


def load_pipe(url: str, schema: str) -> None:
    """Load the messages on standard input."""
    source = sys.stdin.buffer
    columns, key = head(source)
    load(url, schema, columns, key, lambda send: write_rows(source, columns, Lines(send)))


def prepare(source: str, target: str) -> None:
    """Turn messages into a CSV file; the schema message stays its first line."""
    with Path(source).open("rb") as lines, Path(target).open("w", newline="") as out:
        first = lines.readline()
        out.write(first.decode())
        write_rows(lines, columns_of(msgspec.json.decode(first)["schema"]), out)


def head(source: BinaryIO) -> tuple[Columns, list[str]]:
    """Read the schema message; return columns and key."""
    message = msgspec.json.decode(source.readline())
    return columns_of(message["schema"]), message["key_properties"]


ACTIONS: dict[str, Callable[..., None]] = {"prepare": prepare, "load": load_file, "pipe": load_pipe}
ACTIONS[sys.argv[1]](*sys.argv[2:])
