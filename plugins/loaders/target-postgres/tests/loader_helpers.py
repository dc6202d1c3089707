"""Helpers of the tests: a warehouse to load into, and short forms of Singer messages."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import typing as t
from collections.abc import Iterable

import psycopg

from pipeboard_target_postgres.target import TargetPostgres

_numbers = itertools.count(1)


class Warehouse:
    """A schema of its own, and a target that writes to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        number = next(_numbers)
        self.schema, self.ops = f"raw_{os.getpid()}_{number}", f"ops_{os.getpid()}_{number}"
        self.states: list[dict] = []

    def config(self, **changes: t.Any) -> dict[str, t.Any]:
        return {
            "sqlalchemy_url": self.url,
            "default_target_schema": self.schema,
            "ops_schema": self.ops,
            "reconnect_seconds": 0,
            **changes,
        }

    def load(self, messages: Iterable[dict | str | bytes], **changes: t.Any) -> TargetPostgres:
        """Run the target over messages; `states` has the states it wrote."""
        target = TargetPostgres(config=self.config(**changes))
        lines = b"".join(line(m) for m in messages)
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                target.listen(t.cast("t.Any", io.BytesIO(lines)))
        finally:
            target._finish_running_load()
            target.close()
            self.states = [json.loads(x) for x in out.getvalue().splitlines()]
        return target

    def sql(self, statement: str, *parameters: t.Any) -> list[tuple]:
        """Run SQL in a session in UTC; `{s}` and `{o}` are the schemas."""
        text = statement.replace("{s}", self.schema).replace("{o}", self.ops)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("set time zone 'UTC'")
            cursor = connection.execute(t.cast("t.Any", text), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def one(self, statement: str, *parameters: t.Any) -> t.Any:
        return self.sql(statement, *parameters)[0][0]

    def type_of(self, table: str, column: str) -> str | None:
        rows = self.sql(
            "select format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = %s::regclass and attname = %s and not attisdropped",
            f'{self.schema}."{table}"',
            column,
        )
        return rows[0][0] if rows else None

    def load_row(self, stream: str = "s") -> dict[str, int]:
        """The latest row of bookkeeping."""
        names = (
            "records_read",
            "rows_inserted",
            "rows_updated",
            "rows_unchanged",
            "rows_deleted",
            "quarantined",
        )
        row = self.sql(
            f"select {', '.join(names)} from {{o}}.stream_load where stream = %s"
            " order by started_at desc limit 1",
            stream,
        )[0]
        return dict(zip(names, row, strict=True))


def line(message: dict | str | bytes) -> bytes:
    """One message as a tap writes it."""
    if isinstance(message, dict):
        message = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    raw = message.encode() if isinstance(message, str) else message
    return raw if raw.endswith(b"\n") else raw + b"\n"


def schema(properties: dict[str, t.Any], keys: list[str] | None = None, stream: str = "s") -> dict:
    """A SCHEMA message; a property may be given as the name of its type."""
    full = {
        name: {"type": [p, "null"]} if isinstance(p, str) else p for name, p in properties.items()
    }
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": full},
        "key_properties": ["id"] if keys is None else keys,
    }


def record(stream: str = "s", version: int | None = None, **values: t.Any) -> dict:
    """A RECORD message."""
    message: dict[str, t.Any] = {"type": "RECORD", "stream": stream, "record": values}
    return message if version is None else {**message, "version": version}


def state(value: t.Any) -> dict:
    """A STATE message."""
    return {"type": "STATE", "value": value}


DATE_TIME = {"type": ["string", "null"], "format": "date-time"}
DATE = {"type": ["string", "null"], "format": "date"}

#: What sends every record through the SDK: an empty stream map for another stream would not do.
FALLBACK = {"validate_records": True}
