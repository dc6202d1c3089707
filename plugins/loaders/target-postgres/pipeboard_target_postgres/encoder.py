r"""Turns a Singer message into a line of COPY, without decoding the values.

A JSON token is almost a COPY field: PostgreSQL reads `12.50`, `true` and the inside of
`"plain text"` as they are. So tokens are copied as raw bytes and joined by tabs: numbers stay
exact, and no Python object is created for a value. The differences are corrected on the whole
line at once: `null` becomes `\N`, and quotes are removed. If a string has a backslash, or a scalar
column has a nested value, the line is encoded field by field instead. A raw tab or line break
cannot occur inside a JSON token, except as space between the tokens of a nested value.
"""

from __future__ import annotations

import decimal
import functools
import json
import operator
import re
import typing as t
from collections.abc import Callable, Mapping, Sequence

import msgspec
import simplejson
from singer_sdk.singerlib.exceptions import InvalidInputLine

from pipeboard_target_postgres.columns import DATES, INTEGERS, Column

_NULL = msgspec.Raw(b"null")
#: \u0000 in JSON text, preceded by an even number of backslashes (else it is not an escape).
_NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
SURROGATE = re.compile("[\ud800-\udfff]")
#: Starts of a first field that is nested or null: no tab precedes it, so the fast path misses it.
_ODD_START = (b"{", b"[", b"n")
#: Characters that msgspec does not accept in the name of a struct's field.
_AWKWARD = re.compile(r'["\\\x00-\x1f]')
#: A date as in ISO 8601, years 1000 to 2999. Other values need a check: PostgreSQL also accepts
#: infinity, yesterday and years of five digits, which other programs do not.
_USUAL_DATE = rb"(?:[12]...-[^\t]*|\\N)"
#: Digits of an integer, less one: no type of PostgreSQL has more.
_MOST_DIGITS = 18
_NUMBER_START = tuple(b"-0123456789"[i : i + 1] for i in range(11))
_astuple = msgspec.structs.astuple

#: Characters with a special meaning in COPY's text format -> their escapes.
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


#: The SDK's message for a record without its key.
KEY_MISSING = "Record is missing one or more key_properties."


class RecordRefusedError(Exception):
    """A record cannot become a row; the message says why."""


class RecordEncoder:
    """Encodes the records of one stream.

    Args:
        stream: the stream's name in the messages.
        columns: the columns to write, in any order; see `self.columns` for the order written.
        keys: properties that every record must have.
        metadata: property names whose value is not in the record but in the message.
        sanitize: replace NUL characters, which PostgreSQL cannot store, by U+FFFD.
    """

    def __init__(
        self,
        stream: str,
        columns: Sequence[Column],
        keys: Sequence[str],
        metadata: bool,
        sanitize: bool,
    ) -> None:
        self.stream = stream
        self._sanitize = sanitize
        in_message = {"_sdc_extracted_at": "time_extracted", "_sdc_table_version": "version"}
        from_message = [c for c in columns if metadata and c.prop in in_message]
        from_record = [c for c in columns if c not in from_message]
        # This is the only place that orders columns: keys first, in the order of `keys` (`Staging`
        # and `Merge` rely on it), then dates, which are checked in each line.
        rank = {key: number for number, key in enumerate(keys)}
        scalars = sorted(
            (c for c in from_record if not c.is_json),
            key=lambda c: rank.get(c.prop, len(rank) + (c.type not in DATES)),
        )
        front = [c.type in DATES for c in scalars if c.prop in rank or c.type in DATES]
        self._has_usual_dates = (
            re.compile(
                rb"\t".join(_USUAL_DATE if date else rb"[^\t]*" for date in front) + rb"(?:\t|$)"
            ).match
            if any(front)
            else None
        )
        #: True after a line with an unusual date; see `Batch.has_unusual_dates`.
        self.has_unusual_dates = False
        nested = [c for c in from_record if c.is_json]
        #: The columns in the order in which a line has them; nested ones last.
        self.columns = (*scalars, *from_message, *nested)
        self._from_record = (*scalars, *nested)
        self._types = [c.type for c in (*scalars, *from_message)]
        self._n = len(scalars)
        self._from_message = bool(from_message)
        self._of_message = _attributes([in_message[c.prop] for c in from_message])
        self._has_bytea = "bytea" in self._types
        self._keys = tuple(keys)
        self._properties = frozenset(c.prop for c in columns)
        self.repairing = False

    @functools.cached_property
    def _record(self) -> tuple[t.Any, Callable[[t.Any], tuple[msgspec.Raw, ...]]]:
        """The type that a record is decoded to, and a function that reads its values."""
        names = [c.prop for c in self._from_record]
        if any(map(_AWKWARD.search, names)):
            return dict[str, msgspec.Raw], self._values_of_dict(names)
        return self._struct(names), _astuple

    @functools.cached_property
    def _values(self) -> Callable[[t.Any], tuple[msgspec.Raw, ...]]:
        return self._record[1]

    @functools.cached_property
    def _decode(self) -> Callable[[bytes], t.Any]:
        message = msgspec.defstruct(
            "Message",
            [
                ("record", self._record[0]),
                ("type", str, ""),
                ("stream", str, ""),
                ("time_extracted", msgspec.Raw, _NULL),
                ("version", msgspec.Raw, _NULL),
            ],
            gc=False,
        )
        return msgspec.json.Decoder(message).decode

    def _struct(self, names: Sequence[str]) -> type[msgspec.Struct]:
        """Return a type that decodes only these properties of a record, as raw JSON."""
        fields = {f"f{i}": name for i, name in enumerate(names)}
        return msgspec.defstruct(
            "Record",
            # Keys have no default: a record without one is refused while decoding.
            [
                (field, msgspec.Raw) if name in self._keys else (field, msgspec.Raw, _NULL)
                for field, name in fields.items()
            ],
            rename=fields,
            kw_only=True,
            gc=False,
        )

    def _values_of_dict(
        self, names: Sequence[str]
    ) -> Callable[[dict[str, msgspec.Raw]], tuple[msgspec.Raw, ...]]:
        """Return a function that reads these properties, for names a struct cannot have."""

        def values(record: dict[str, msgspec.Raw]) -> tuple[msgspec.Raw, ...]:
            self._check_keys(record)
            return tuple(record.get(name, _NULL) for name in names)

        return values

    def _check_keys(self, record: Mapping[str, t.Any]) -> None:
        missing = [key for key in self._keys if key not in record]
        if missing:
            raise RecordRefusedError(f"{KEY_MISSING} It lacks {', '.join(missing)}")

    def encode(self, line: bytes) -> tuple[bytes, msgspec.Raw | None] | None:
        """Turn a RECORD message into a line of COPY without its line break.

        Returns:
            The line and the message's version (None if it has none), or None if the message is
            not a record of this stream.

        Raises:
            RecordRefusedError: the record lacks a key, is no object, or is nested too deeply.
            InvalidInputLine: the line is not JSON.
        """
        try:
            message = self._decode(line)
        except (msgspec.MsgspecError, RecursionError) as exc:
            message = self._decode_unusual(line, exc)
        if message.stream != self.stream or message.type != "RECORD":
            return None
        values = self._values(message.record)
        n = self._n
        head = values[:n] + self._of_message(message)
        row = b"\t".join(head)
        if (
            b"\\" in row
            # One byte is found many times as fast as two.
            or (b"{" in row and b"\t{" in row)
            or (b"[" in row and b"\t[" in row)
            or row[:1] in _ODD_START
            or self._has_bytea
            or self.repairing
        ):
            row = self._field_by_field(head)
        else:
            # Only the token null follows a tab as `null`: a string's quote is still there.
            row = row.replace(b"\tnull", b"\t\\N").replace(b'"', b"")
        if self._has_usual_dates is not None and not self._has_usual_dates(row):
            self.has_unusual_dates = True
        for value in values[n:]:
            row += b"\t" + self._nested(bytes(value))
        version = message.version
        return (row if n or self._from_message else row[1:]), None if version is _NULL else version

    def _nested(self, text: bytes) -> bytes:
        """Encode a field of JSON text."""
        if text == b"null":
            return b"\\N"
        if b"\\" in text:
            if self._sanitize and b"\\u0000" in text:
                text = _NUL_ESCAPE.sub(rb"\1\\ufffd", text)
            text = text.replace(b"\\", b"\\\\")
        if b"\t" in text or b"\r" in text:
            text = text.replace(b"\t", b" ").replace(b"\r", b" ")
        return text

    def _field_by_field(self, values: Sequence[msgspec.Raw]) -> bytes:
        """Encode the scalar fields one by one."""
        fields = []
        for value, sql_type in zip(values, self._types, strict=True):
            text = bytes(value)
            start = text[:1]
            if start == b'"':
                text = self._string(text, sql_type)
            elif start in (b"n", b"{", b"["):
                # A nested value in a scalar column stays JSON text.
                text = self._nested(text)
            elif self.repairing and sql_type in INTEGERS and start in _NUMBER_START:
                whole = whole_number(text)
                # PostgreSQL refuses any other number.
                text = text if whole is None else b"%d" % whole
            fields.append(text)
        return b"\t".join(fields)

    def _string(self, token: bytes, sql_type: str) -> bytes:
        if sql_type != "bytea" and b"\\" not in token:
            return token[1:-1]
        text = msgspec.json.decode(token, type=str)
        if sql_type == "bytea":
            text = _hex(text)
        elif self._sanitize and "\0" in text:
            text = text.replace("\0", "\ufffd")
        return text.translate(_ESCAPES).encode()

    def _decode_unusual(self, line: bytes, exc: Exception) -> t.Any:
        """Decode messages that msgspec refuses (NaN, lone surrogates), or raise the reason."""
        try:
            loaded = json.loads(line, parse_float=decimal.Decimal, parse_constant=lambda _: None)
        except RecursionError:
            raise RecordRefusedError("Record is nested too deeply") from exc
        except ValueError:
            loaded = None
        if not isinstance(loaded, dict):
            raise InvalidInputLine(
                f"not a Singer message ({exc}): {line[:200].decode(errors='replace')!r}"
            ) from exc
        record = loaded.get("record")
        if not isinstance(record, dict):
            raise RecordRefusedError("Record is no JSON object")
        self._check_keys(record)
        try:
            return self._decode(dump(loaded))
        except (msgspec.MsgspecError, RecursionError) as again:
            raise RecordRefusedError(f"Record cannot be read: {again}") from exc

    def unknown(self, line: bytes) -> set[str]:
        """Return the properties of a record that have no column."""
        try:
            record = json.loads(line)["record"]
        except (ValueError, KeyError):
            return set()
        return {key for key, value in record.items() if value is not None} - self._properties


def _attributes(names: Sequence[str]) -> Callable[[t.Any], tuple[t.Any, ...]]:
    """Return a function that reads these attributes; it always returns a tuple."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda found: tuple(getattr(found, name) for name in names)


def dump(message: t.Any) -> bytes:
    """Return the value as JSON that msgspec reads; numbers exact, times in ISO 8601."""
    text = simplejson.dumps(
        message,
        use_decimal=True,
        ensure_ascii=False,
        separators=(",", ":"),
        ignore_nan=True,
        default=_plain,
    )
    # A lone surrogate cannot be encoded: like NUL, it becomes U+FFFD.
    return SURROGATE.sub("\ufffd", text).encode()


def _plain(value: t.Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _hex(text: str) -> str:
    """Return PostgreSQL's form of hex text with or without 0x, read as the stock target does."""
    digits = text[2:] if text[:2] in ("0x", "\\x") else text
    return "\\x" + "0" * (len(digits) % 2) + digits


def whole_number(text: bytes) -> int | None:
    """Return the integer that text such as 1.0 or 1e3 is; None for any other text."""
    try:
        number = decimal.Decimal(text.decode())
    except (decimal.InvalidOperation, ValueError):
        return None
    # 1e999999999 has a billion digits, and arithmetic with it overflows: look at its exponent.
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS:
        return None
    return int(number) if number == number.to_integral_value() else None
