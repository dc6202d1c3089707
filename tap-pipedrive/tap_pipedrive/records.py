"""Make a page of API records match its stream's schema, touching only what needs it.

* v2 already speaks RFC 3339; v1 writes ``2024-01-31 09:14:35`` (UTC, no zone), and both may
  send the zero date.
* A property the schema does not know moves into ``_extra``; so does a value of another type
  than declared, and its column stays null. Nothing is lost when Pipedrive changes a shape
  before this tap learns of it, and no such change stops a sync.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tap_pipedrive.openapi.schema import EXTRA

Record = dict[str, Any]

#: Python types a JSON value may have, by the type names of ``openapi.schema``.
_PYTHON: dict[str, Any] = {
    "integer": int,
    "number": float,
    "boolean": bool,
    "string": str,
    "date": str,
    "date-time": str,
    "array": list,
    "object": dict,
}


class RecordShaper:
    """Shapes the records of one stream, in place."""

    def __init__(self, types: Mapping[str, str], withheld: frozenset[str] = frozenset()) -> None:
        """Prepare for ``{property: type}`` as :func:`openapi.schema.stream_types` gives them.

        Args:
            types: properties of the schema.
            withheld: properties that hold secrets and are dropped.

        """
        self._types = dict(types)
        self._known = frozenset(types)
        self._withheld = withheld
        self._times = tuple(n for n, kind in types.items() if kind == "date-time")
        self._dates = tuple(n for n, kind in types.items() if kind == "date")
        # msgspec checks a whole page against this in C; only a page that fails is looked at.
        fields = [
            (f"f{number}", _PYTHON[kind] | None, None)
            for number, kind in enumerate(self._types.values())
        ]
        renamed = {f"f{number}": name for number, name in enumerate(self._types)}
        shape = msgspec.defstruct("Shape", fields, rename=renamed, gc=False)
        self._page_type: Any = list[shape]  # type: ignore[valid-type]
        #: Properties seen that the schema lacks, and those seen with another type.
        self.unknown: set[str] = set()
        self.retyped: set[str] = set()

    def shape(self, records: list[Record]) -> list[Record]:
        """Normalise times and dates, and set aside what does not fit."""
        try:
            msgspec.convert(records, self._page_type)
        except msgspec.ValidationError:
            for record in records:
                self._set_aside(record)
        known, times, dates = self._known, self._times, self._dates
        for record in records:
            for name in times:
                value = record.get(name)
                if value is not None and (value[10:11] != "T" or value[:4] == "0000"):
                    record[name] = utc_time(value)
            for name in dates:
                value = record.get(name)
                if value is not None and (value == "" or value[:4] == "0000"):
                    record[name] = None
            if not record.keys() <= known:
                self._keep_unknown(record)
        return records

    def _keep_unknown(self, record: Record) -> None:
        extra = record.pop(EXTRA, {})
        for name in record.keys() - self._known:
            value = record.pop(name)
            if name not in self._withheld:
                self.unknown.add(name)
                extra[name] = value
        if extra:
            record[EXTRA] = extra

    def _set_aside(self, record: Record) -> None:
        """Keep values of another type than declared in ``_extra``, as they came."""
        for name, value in list(record.items()):
            kind = self._types.get(name)
            if value is None or kind is None or _fits(value, kind):
                continue
            if kind == "integer" and isinstance(value, float) and value.is_integer():
                record[name] = int(value)
                continue
            self.retyped.add(name)
            record.setdefault(EXTRA, {})[name] = value
            record[name] = None


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "number":
        return isinstance(value, int | float)
    return isinstance(value, _PYTHON[kind])


def utc_time(value: str) -> str | None:
    """Write a v1 time (``YYYY-MM-DD HH:MM:SS``, UTC) as RFC 3339; the zero date is null.

    >>> utc_time("2024-02-12 09:14:35")
    '2024-02-12T09:14:35Z'
    >>> utc_time("0000-00-00 00:00:00") is None
    True
    """
    if not value or value.startswith("0000"):
        return None
    if len(value) >= 19 and value[10] == " ":
        value = f"{value[:10]}T{value[11:]}"
    has_zone = value.endswith("Z") or "+" in value[19:] or "-" in value[19:]
    return value if has_zone or len(value) < 19 else f"{value}Z"
