"""Decode a response that is not valid JSON: keep the valid values, and return the others as text.

Strict decoding refuses a whole page because of one value: invalid UTF-8, a lone surrogate, NaN,
1e400, or nesting that is too deep for a decoder. This module first splits a body at its brackets
and commas, without decoding and without recursion. Then it decodes each record strictly, and each
value of a record that fails. A value that cannot be decoded stays text.

A body whose brackets do not match (a truncated one) is refused as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

#: What strict decoding raises. A RecursionError is no MsgspecError, nor is a UnicodeDecodeError.
DECODING_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:"]', re.DOTALL)
_CLOSING = {b"{": b"}", b"[": b"]"}
#: Levels of a record at which a single value becomes text: its properties, and their members
#: (custom fields, the elements of an array).
_LEVELS = 2


class NotJsonError(ValueError):
    """The brackets of a text do not match: it is truncated, or not JSON."""


class SetAsideValues(dict[str, Any]):
    """Values that their columns cannot hold, by name: the ``_extra`` of a record so far."""


@dataclass
class LenientRecord:
    """An element of a list: a record without what could not be decoded, or no record at all."""

    text: bytes
    record: dict[str, Any] | None = None
    reason: str = ""


@dataclass
class LenientBody:
    """The members of a body's object; ``data`` element by element if it is a list."""

    members: dict[str, Any] = field(default_factory=dict)
    records: list[LenientRecord] | None = None


def decode_body(body: bytes) -> LenientBody:
    """Decode a body that strict decoding refuses, as far as possible.

    Raises:
        NotJsonError: the body is not an object with matching brackets, or a member other than
            ``data`` cannot be decoded.

    """
    found = LenientBody()
    for raw_name, value in _members(body):
        try:
            name = msgspec.json.decode(raw_name, type=str)
            if name == "data":
                listed = value.startswith(b"[")
                found.records = [*map(lenient_record, _parts(value))] if listed else None
                found.members[name] = None if listed else lenient_record(value).record
            elif name in ("success", "error", "additional_data"):
                found.members[name] = msgspec.json.decode(value)
        except DECODING_ERRORS as error:
            raise NotJsonError(printable(raw_name + b":" + value[:100])) from error
    return found


def printable(text: bytes) -> str:
    r"""Return raw JSON text as text that any database can store.

    >>> printable(b'"caf\xe9"')
    '"caf\\xe9"'
    """
    return text.decode("utf-8", "backslashreplace").replace("\0", "\\u0000")


def lenient_record(text: bytes) -> LenientRecord:
    """Decode one element of a list as far as possible."""
    aside = SetAsideValues()
    try:
        value = _value(text, "", aside, _LEVELS)
    except (NotJsonError, *DECODING_ERRORS) as error:
        return LenientRecord(text, reason=f"cannot be decoded ({_message(error)})")
    if not isinstance(value, dict):
        return LenientRecord(text, reason="is not an object")
    if aside:
        if "_extra" in value:
            aside["_extra"] = value["_extra"]
        value["_extra"] = aside
    return LenientRecord(text, value)


def _value(text: bytes, path: str, aside: SetAsideValues, levels: int) -> Any:
    """Decode a value; parts that cannot be decoded are null, and text in ``aside``."""
    try:
        return msgspec.json.decode(text)
    except DECODING_ERRORS:
        if levels and text.startswith(b"{"):
            return _object(text, path, aside, levels - 1)
        if levels and text.startswith(b"["):
            parts = enumerate(_parts(text))
            return [_value(part, f"{path}[{n}]", aside, levels - 1) for n, part in parts]
        if not path:
            raise
    quoted = len(text) > 1 and text.startswith(b'"')
    aside[path] = printable(text[1:-1] if quoted else text)
    return None


def _object(text: bytes, path: str, aside: SetAsideValues, levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for raw_name, raw in _members(text):
        try:
            name = msgspec.json.decode(raw_name, type=str)
        except DECODING_ERRORS:
            aside[f"{path}.{printable(raw_name[1:-1])}".lstrip(".")] = printable(raw)
            continue
        at = f"{path}.{name}" if path else name
        aside.pop(at, None)  # of two members of one name the last one counts
        found[name] = _value(raw, at, aside, levels)
    return found


def _members(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Split an object into (name, value), both as text."""
    if not text.lstrip().startswith(b"{"):
        raise NotJsonError(printable(text[:100]))
    for part in _parts(text):
        token = _TOKEN.match(part)
        rest = part[token.end() :].lstrip() if token else b""
        if token is None or not part.startswith(b'"') or not rest.startswith(b":"):
            raise NotJsonError(printable(part[:100]))
        yield token.group(), rest[1:].strip()


def _parts(text: bytes) -> list[bytes]:
    """Split the inside of an array or object, with which the text begins, at its commas.

    Raises:
        NotJsonError: brackets or quotes do not match, or something follows the last one.

    """
    parts: list[bytes] = []
    expected: list[bytes] = []
    begin = 0
    for token in _TOKEN.finditer(text):
        mark = text[token.start() : token.start() + 1]
        if mark in _CLOSING:
            if not expected:
                begin = token.end()
            expected.append(_CLOSING[mark])
        elif mark in (b"}", b"]"):
            if not expected or expected.pop() != mark:
                break
            if not expected:
                last = text[begin : token.start()].strip()
                if text[token.end() :].strip() or (parts and not last):
                    break
                return [*parts, last] if last else parts
        elif mark == b"," and len(expected) == 1:
            parts.append(text[begin : token.start()].strip())
            begin = token.end()
        elif token.group() == b'"':
            break
    raise NotJsonError(printable(text[-100:]))


def _message(error: Exception) -> str:
    return str(error)[:200].encode("utf-8", "backslashreplace").decode()
