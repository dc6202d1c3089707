"""Make a page of API records match its stream's schema, touching only what needs it.

* v2 already speaks RFC 3339; v1 writes ``2024-01-31 09:14:35`` (UTC, no zone), and both may
  send the zero date.
* A property the schema does not know moves into ``_extra``; so does a value of another type
  than declared, and its column stays null. Nothing is lost when Pipedrive changes a shape
  before this tap learns of it, and no such change stops a sync.

A page that fits as it is, and that is nearly every page, need not be looked at record by record:
:class:`PageReader` decodes it straight into typed rows, with what is nested left as the text it
came in. That takes a third of the time that dictionaries take.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from operator import attrgetter
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
#: The key of a custom field, or of a part of one (`<key>_currency`).
_CUSTOM_FIELD = re.compile(r"[0-9a-f]{40}(_|$)")


class Row(msgspec.Struct, gc=False):
    """A record that fits its schema; looked into like the dictionary it stands for."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a property, ``default`` if the record lacks it."""
        value = getattr(self, name, default)
        return default if value is msgspec.UNSET else value

    def __getitem__(self, name: str) -> Any:
        """Return a property that is there."""
        value = getattr(self, name, msgspec.UNSET)
        if value is msgspec.UNSET:
            raise KeyError(name)
        return value

    def __contains__(self, name: str) -> bool:
        """Whether the record has a property."""
        return getattr(self, name, msgspec.UNSET) is not msgspec.UNSET


class PageReader:
    """Reads a page of a v2 list in one go, if all its records fit the schema as they are."""

    #: Types of a row's fields; objects stay the text they came in.
    _FIELDS: Mapping[str, Any] = {
        **{k: v | None | msgspec.UnsetType for k, v in _PYTHON.items()},
        "number": int | float | None | msgspec.UnsetType,
        "array": list[msgspec.Raw] | None | msgspec.UnsetType,
        "object": msgspec.Raw | msgspec.UnsetType,
    }

    def __init__(self, types: Mapping[str, str]) -> None:
        """Prepare for ``{property: type}``, see :class:`RecordShaper`."""
        fields = [(name, self._FIELDS[kind], msgspec.UNSET) for name, kind in types.items()]
        row = msgspec.defstruct(
            "Fitting", fields, bases=(Row,), gc=False, forbid_unknown_fields=True
        )
        answer = msgspec.defstruct(
            "Answer",
            [
                ("data", list[row]),  # type: ignore[valid-type]
                ("success", bool, True),
                ("additional_data", dict[str, Any] | None, None),
            ],
        )
        self._decode = msgspec.json.Decoder(answer).decode

        def values(kind: str) -> Any:
            names = [name for name, k in types.items() if k == kind]
            get = attrgetter(*names) if names else lambda _: ()
            return get if len(names) != 1 else lambda row: (get(row),)

        self._times, self._dates, self._objects = map(values, ("date-time", "date", "object"))

    @classmethod
    def of(cls, types: Mapping[str, str]) -> PageReader | None:
        """Make one, unless a property has a name that no field may have."""
        taken = {*dir(Row), EXTRA}
        plain = all(n.isidentifier() and not keyword.iskeyword(n) for n in types)
        return cls(types) if plain and not taken & types.keys() else None

    def read(self, body: bytes) -> tuple[list[Any], dict[str, Any]] | None:
        """Return rows and ``additional_data``; None when anything asks for a closer look."""
        try:
            answer: Any = self._decode(body)
        except msgspec.MsgspecError:
            return None
        if not answer.success:
            return None
        times, dates, objects = self._times, self._dates, self._objects
        unset = msgspec.UNSET
        for row in answer.data:
            for value in times(row):
                if value == "" or (value and (value[10:11] != "T" or value[:4] == "0000")):
                    return None
            for value in dates(row):
                if value == "" or (value and value[:4] == "0000"):
                    return None
            for value in objects(row):
                if value is not unset and bytes(value)[:1] not in (b"{", b"n"):
                    return None
        return answer.data, answer.additional_data or {}


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
                extra[name] = value
                # v1 writes custom fields beside the others, each under its key: no news.
                if not _CUSTOM_FIELD.match(name):
                    self.unknown.add(name)
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
