"""Make a page of API records match its stream's schema, touching only what needs it.

* v2 writes RFC 3339; v1 writes ``2024-01-31 09:14:35`` (UTC, no zone).
* A value of another type than declared is converted if nothing is lost ("12" for a number, 1 for a
  boolean).
* Any other value that its column cannot hold (another type, an impossible date, an integer of more
  than 64 bits) becomes null, is counted, and is kept unchanged in ``_extra``. So is a property that
  the schema lacks. A change of Pipedrive's records therefore loses no data and stops no sync.

Nearly every page fits as it is, and is not checked record by record: :class:`PageReader` decodes it
directly into typed rows, and leaves nested values as text. That takes a third of the time that
dictionaries take.
"""

from __future__ import annotations

import codecs
import keyword
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from tap_pipedrive.api.lenient_json import (
    DECODING_ERRORS,
    SetAsideValues,
    lenient_record,
    printable,
)
from tap_pipedrive.api.openapi.schema import EXTRA

Record = dict[str, Any]

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_Int64 = Annotated[int, msgspec.Meta(ge=_SMALLEST, le=_LARGEST)]
#: Python types a JSON value may have, by the type names of ``openapi.schema``.
_PYTHON: dict[str, Any] = {
    "integer": _Int64,
    "number": float,
    "boolean": bool,
    "string": str,
    "date": str,
    "date-time": str,
    "array": list,
    "object": dict,
}
#: Bytes of a body that are checked together.
_CHUNK = 1 << 16
_OBJECT_OR_NULL = frozenset(b"{n")
#: The key of a custom field, or of a part of one (`<key>_currency`).
_CUSTOM_FIELD = re.compile(r"[0-9a-f]{40}(_|$)")

#: Days that exist in some year, by month; 29 February needs a look at the year.
_DAY = (
    r"(?!0000)\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-9])"
    r"|(?:0[13-9]|1[0-2])-30|(?:0[13578]|1[02])-31)"
)
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?"
#: All times (dates) of a page, one per line: one match instead of one for each value.
_ZONE = r"(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)"
_TIMES = re.compile(rf"(?:{_DAY}T{_CLOCK}{_ZONE}\n)*", re.ASCII)
_V1_TIMES = re.compile(rf"(?:{_DAY}[T ]{_CLOCK}{_ZONE}?\n)*", re.ASCII)
_DATES = re.compile(rf"(?:{_DAY}\n)*", re.ASCII)
_ANY_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(\.\d+)?\s?"
    r"(Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)  # fmt: skip
#: What may follow a day without telling more.
_MIDNIGHT = re.compile(r"(?:[T ]00:00(?::00(?:\.0+)?)?\s?(?:Z|[+-]00(?::?00)?)?)?", re.ASCII)
#: Days that a pattern cannot check: leap days, and days that a time zone may move out of range.
_DAYS_TO_CHECK = ("-02-29", "0001-01-01", "9999-12-31")

_INTEGER_TEXT = re.compile(r"-?(0|[1-9]\d*)(\.0+)?", re.ASCII)
_NUMBER_TEXT = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_BOOLEANS = {"0": False, "1": True, "false": False, "true": True}


class Row(msgspec.Struct, gc=False):
    """A record that fits its schema; read like the dictionary that it replaces."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a property, ``default`` if the record lacks it."""
        value = getattr(self, name, default)
        return default if value is msgspec.UNSET else value

    def __getitem__(self, name: str) -> Any:
        """Return a property that the record has."""
        value = getattr(self, name, msgspec.UNSET)
        if value is msgspec.UNSET:
            raise KeyError(name)
        return value

    def __contains__(self, name: str) -> bool:
        """Whether the record has a property."""
        return getattr(self, name, msgspec.UNSET) is not msgspec.UNSET


_TAKEN_NAMES = frozenset((*dir(Row), EXTRA))


class PageReader:
    """Reads a whole page of a v2 list at once, if all its records fit the schema as they are."""

    #: Types of a row's fields; objects stay text.
    _FIELDS: Mapping[str, Any] = {
        **{k: v | None | msgspec.UnsetType for k, v in _PYTHON.items()},
        "number": int | float | None | msgspec.UnsetType,
        "array": list[msgspec.Raw] | None | msgspec.UnsetType,
        "object": msgspec.Raw | msgspec.UnsetType,
    }

    def __init__(self, types: Mapping[str, str], keys: Iterable[str] = ()) -> None:
        """Prepare for ``{property: type}``, see :class:`RecordShaper`; every row has its keys."""
        fields: list[Any] = [(name, _PYTHON[types[name]]) for name in keys]
        fields += [(n, self._FIELDS[kind], msgspec.UNSET) for n, kind in types.items()
                   if n not in keys]  # fmt: skip
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
    def of(cls, types: Mapping[str, str], keys: Iterable[str] = ()) -> PageReader | None:
        """Make a reader; None if a property has a name that no field may have."""
        plain = all(n.isidentifier() and not keyword.iskeyword(n) for n in types)
        return cls(types, keys) if plain and not _TAKEN_NAMES & types.keys() else None

    def read(self, body: bytes) -> tuple[list[Any], dict[str, Any]] | None:
        """Return rows and ``additional_data``; None if the page has to be checked by record."""
        try:
            answer: Any = self._decode(body)
            _check_utf8(body)  # nested values are not decoded, and may hold any bytes
        except DECODING_ERRORS:
            return None
        rows = answer.data
        if not answer.success:
            return None
        if not (_are_times(map(self._times, rows)) and _are_dates(map(self._dates, rows))):
            return None
        nested = chain.from_iterable(map(self._objects, rows))
        first_bytes = {memoryview(value)[0] for value in nested if value is not msgspec.UNSET}
        if not first_bytes <= _OBJECT_OR_NULL:
            return None
        return rows, answer.additional_data or {}


def _check_utf8(body: bytes) -> None:
    """Raise UnicodeDecodeError for bytes that are not UTF-8.

    Part by part: decoding the whole body at once takes six times as long.
    """
    view, at, size = memoryview(body), 0, 0 if body.isascii() else len(body)
    while at < size:
        is_last = at + _CHUNK >= size
        at += codecs.utf_8_decode(view[at : at + _CHUNK], "strict", is_last)[1]


def _are_times(values: Iterable[Iterable[Any]]) -> bool:
    """Whether all values, without nulls, are times as :func:`time_or_none` writes them."""
    return _all_fit(_TIMES, values, lambda value: time_or_none(value) == value)


def _are_dates(values: Iterable[Iterable[Any]]) -> bool:
    return _all_fit(_DATES, values, lambda value: date_or_none(value) == value)


def _all_fit(
    pattern: re.Pattern[str], values: Iterable[Iterable[Any]], check: Callable[[str], bool]
) -> bool:
    """Check all values together; one by one only if the pattern cannot decide."""
    found = set(chain.from_iterable(values)) - {None, msgspec.UNSET}
    if not found:
        return True
    text = "\n".join(found) + "\n"
    if pattern.fullmatch(text) and not any(day in text for day in _DAYS_TO_CHECK):
        return True
    return all(map(check, found))


class RecordShaper:
    """Shapes the records of one stream, in place."""

    def __init__(self, types: Mapping[str, str], withheld: frozenset[str] = frozenset()) -> None:
        """Prepare for ``{property: type}`` as :func:`openapi.schema.stream_types` gives them.

        Args:
            types: properties of the schema.
            withheld: properties that hold secrets and are removed.

        """
        self._types = dict(types)
        self._known = frozenset(types)
        self._withheld = withheld
        self._times = tuple(n for n, kind in types.items() if kind == "date-time")
        self._dates = tuple(n for n, kind in types.items() if kind == "date")
        #: Properties that the schema lacks, and properties with a value that does not fit.
        self.unknown: set[str] = set()
        self.retyped: set[str] = set()
        #: Values that became null because their column cannot hold them.
        self.nulled = 0

    @cached_property
    def _page_type(self) -> Any:
        """Checks a whole page in C; only the records of a failing page are read."""
        fields = [
            (f"f{number}", _PYTHON[kind] | None, None)
            for number, kind in enumerate(self._types.values())
        ]
        renamed = {f"f{number}": name for number, name in enumerate(self._types)}
        shape = msgspec.defstruct("Shape", fields, rename=renamed, gc=False)
        return list[shape]  # type: ignore[valid-type]

    def shape(self, records: list[Record]) -> list[Record]:
        """Convert values where possible, and move values that do not fit to ``_extra``."""
        try:
            msgspec.convert(records, self._page_type)
        except DECODING_ERRORS:
            for record in records:
                self._convert(record)
        times, dates = self._times, self._dates
        if not (
            _are_times([record.get(name) for name in times] for record in records)
            and _are_dates([record.get(name) for name in dates] for record in records)
        ):
            for record in records:
                self._set_times_aside(record)
        known = self._known
        for record in records:
            if not record.keys() <= known:
                self._keep_unknown(record)
        return records

    def without_secrets(self, text: bytes) -> str:
        """Return a record as text for quarantine; empty if it may hold a secret."""
        if self._withheld:
            found = lenient_record(text).record
            if found is None:
                return ""
            extra = found.get(EXTRA)
            for place in (found, extra if isinstance(extra, dict) else {}):
                for name in [n for n in place if _first_name(n) in self._withheld]:
                    del place[name]
            text = msgspec.json.encode(found)
        return printable(text)

    def set_deep_values_aside(self, records: list[Record]) -> None:
        """Move values that are nested too deeply for the encoder to ``_extra``, as text.

        Rows have none: their nested values are text already.
        """
        for record in records:
            try:
                msgspec.json.encode(record)
            except RecursionError:
                extra = set_aside_values(record)
                for place in (record, extra):
                    for name, value in list(place.items()):
                        if value is not extra and (text := _deep_text(value)):
                            place[name], extra[name] = None, text
                            self.nulled += 1

    def _keep_unknown(self, record: Record) -> None:
        extra = set_aside_values(record)
        for name in [n for n in extra if _first_name(n) in self._withheld]:
            del extra[name]
        nulled = [name for name in extra if name != EXTRA]  # a property of the source
        self.nulled += len(nulled)
        self.retyped.update(map(_first_name, nulled))
        for name in record.keys() - self._known - {EXTRA}:
            value = record.pop(name)
            if name not in self._withheld:
                extra[name] = value
                # v1 writes custom fields beside the others, each under its key: not a change.
                if not _CUSTOM_FIELD.match(name):
                    self.unknown.add(name)
        if not extra:
            del record[EXTRA]

    def _convert(self, record: Record) -> None:
        """Convert values of another type than declared, or move them to ``_extra``."""
        for name, value in list(record.items()):
            kind = self._types.get(name)
            if value is None or kind is None or _fits(value, kind):
                continue
            record[name] = converted(value, kind)
            if record[name] is None:
                self._set_aside(record, name, value)

    def _set_times_aside(self, record: Record) -> None:
        for names, check in ((self._times, time_or_none), (self._dates, date_or_none)):
            for name in names:
                value = record.get(name)
                if value is not None:
                    record[name] = found = check(value)
                    # Of a time in place of a day the clock is kept aside, unless it is midnight.
                    is_cut = check is date_or_none and not _MIDNIGHT.fullmatch(value[10:])
                    if value and (found is None or is_cut):
                        self._set_aside(record, name, value)

    def _set_aside(self, record: Record, name: str, value: Any) -> None:
        self.retyped.add(name)
        set_aside_values(record)[name] = value


def _deep_text(value: Any) -> str | None:
    """Return a value that is nested too deeply as text; None for any other value."""
    try:
        msgspec.json.encode(value)
    except RecursionError:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + 5000)
        try:
            return msgspec.json.encode(value).decode()
        finally:
            sys.setrecursionlimit(limit)
    return None


def set_aside_values(record: Record) -> SetAsideValues:
    """Return the ``_extra`` of a record; it includes the source's own property of that name."""
    extra = record.get(EXTRA)
    if not isinstance(extra, SetAsideValues):
        extra = SetAsideValues() if EXTRA not in record else SetAsideValues({EXTRA: extra})
        record[EXTRA] = extra
    return extra


def _first_name(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer":
        return isinstance(value, int) and _SMALLEST <= value <= _LARGEST
    if kind == "number":
        return isinstance(value, int | float)
    return isinstance(value, _PYTHON[kind])


def converted(value: Any, kind: str) -> Any:
    """Convert a value of another type if nothing is lost, else return None.

    >>> converted("12.50", "number"), converted(2.0, "integer"), converted("007", "integer")
    (12.5, 2, None)
    """
    if isinstance(value, bool):
        return None
    if kind == "boolean":
        found = value if isinstance(value, str) else str(value) if value in (0, 1) else ""
        return _BOOLEANS.get(found)
    if kind == "integer":
        if isinstance(value, str) and len(value) < 40 and _INTEGER_TEXT.fullmatch(value):
            value = int(value.split(".")[0])
        elif isinstance(value, float) and value.is_integer():
            value = int(value)
        return value if _fits(value, kind) else None
    if kind == "number" and isinstance(value, str) and _NUMBER_TEXT.fullmatch(value):
        if value.lstrip("-").isdigit() and len(value) < 40:
            return int(value)
        number = float(value)
        return number if Decimal(repr(number)) == Decimal(value) else None
    return None


class RecordScreen:
    """Checks the id and the times of a record before it is shaped.

    Scans are sorted by ``update_time``, and ``stage_change_time`` shows that a deal moved, so an
    impossible time has to be null before a scan uses the record.
    """

    def __init__(self, types: Mapping[str, str], key: str | None) -> None:
        """Prepare for the records of one operation.

        Args:
            types: their properties, see :class:`RecordShaper`.
            key: the property that a usable record has; None if there is none.

        """
        self._times = tuple(n for n, kind in types.items() if kind == "date-time")
        self._key, self._kind = key, types.get(key or "", "")

    def lacks_its_key(self, record: Record) -> bool:
        """Whether a record has no usable key; the key is converted where possible."""
        if self._key is None:
            return False
        value = record.get(self._key)
        if value is not None and not _fits(value, self._kind):
            value = record[self._key] = converted(value, self._kind)
        return value is None or value == ""

    def remove_impossible_times(self, records: list[Record]) -> None:
        """Move impossible times to ``_extra``; the others stay unchanged."""
        found = [t for r in records for n in self._times if (t := r.get(n)) is not None]
        if all(isinstance(t, str) for t in found) and _all_fit(
            _V1_TIMES, [found], lambda t: time_or_none(t) is not None
        ):
            return
        for record in records:
            for name in self._times:
                value = record.get(name)
                if value is not None and time_or_none(value) is None:
                    record[name] = None
                    if value != "":
                        set_aside_values(record)[name] = value


def time_or_none(value: Any) -> str | None:
    """Return a time as RFC 3339 (one without a zone is UTC); None if it does not exist.

    >>> time_or_none("2024-02-12 09:14:35"), time_or_none("2026-02-30T00:00:00Z")
    ('2024-02-12T09:14:35Z', None)
    """
    found = _ANY_TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    day, clock, seconds, fraction, zone = found.groups(default="")
    text = f"{day}T{clock or '00:00'}{seconds or ':00'}"
    zone = zone or "Z"
    if zone != "Z":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        zone = f"{zone[0]}{digits[:2]}:{digits[2:]}"
    try:
        moment = datetime.fromisoformat(text)
        if zone != "Z":
            hours, minutes = int(zone[1:3]), int(zone[4:])
            if hours > 14 or minutes > 59:
                return None
            shift = timedelta(hours=hours, minutes=minutes)
            _ = moment - shift, moment + shift  # in UTC the year must be one of 1 to 9999, too
    except (ValueError, OverflowError):
        return None
    return f"{text}{fraction}{zone}"


def date_or_none(value: Any) -> str | None:
    """Return the day of a day or a time; None if it does not exist.

    >>> date_or_none("2026-02-28"), date_or_none("2026-02-28T09:00:00Z"), date_or_none("2026-02-30")
    ('2026-02-28', '2026-02-28', None)
    """
    if not isinstance(value, str) or time_or_none(value) is None:
        return None
    return value[:10]
