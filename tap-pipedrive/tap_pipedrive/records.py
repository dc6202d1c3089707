"""Make a page of API records match its stream's schema, touching only what needs it.

v2 already speaks RFC 3339; v1 writes ``2024-01-31 09:14:35`` (UTC, no zone), and both may
send the zero date. Properties the schema does not know move into ``_extra``: nothing is lost
when Pipedrive adds one before this tap learns of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tap_pipedrive.openapi.schema import EXTRA

Record = dict[str, Any]


class RecordShaper:
    """Shapes the records of one stream, in place."""

    def __init__(self, types: Mapping[str, str], withheld: frozenset[str] = frozenset()) -> None:
        """Prepare for ``{property: type}`` as :func:`openapi.schema.stream_types` gives them.

        Args:
            types: properties of the schema.
            withheld: properties that hold secrets and are dropped.

        """
        self._known = frozenset(types)
        self._withheld = withheld
        self._times = tuple(n for n, kind in types.items() if kind == "date-time")
        self._dates = tuple(n for n, kind in types.items() if kind == "date")
        #: Properties seen that the schema lacks, for one warning each.
        self.unknown: set[str] = set()

    def shape(self, records: list[Record]) -> list[Record]:
        """Normalise times and dates, and set unknown properties aside."""
        known, times, dates = self._known, self._times, self._dates
        for record in records:
            for name in times:
                value = record.get(name)
                if value is not None and (
                    value == "" or value[10:11] != "T" or value[:4] == "0000"
                ):
                    record[name] = utc_time(value)
            for name in dates:
                value = record.get(name)
                if value is not None and (value == "" or value[:4] == "0000"):
                    record[name] = None
            if not record.keys() <= known:
                extra = {name: record.pop(name) for name in record.keys() - known}
                for name in self._withheld:
                    extra.pop(name, None)
                if extra:
                    self.unknown.update(extra)
                    record[EXTRA] = extra
        return records


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
