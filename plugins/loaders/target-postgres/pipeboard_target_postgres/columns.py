"""Columns: the SQL name and type of a property, and how a type may change."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import typing as t

import sqlalchemy

MAX_IDENTIFIER_BYTES = 63

#: PostgreSQL has these on every table; no other column can have such a name.
_SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})

INTEGERS = ("smallint", "integer", "bigint")
DATES = ("date", "timestamp with time zone", "timestamp without time zone")
_JSON = frozenset({"json", "jsonb"})
_NO_TEXT_FORM = frozenset({"bytea"})
#: Types without an equality operator: compared by their text.
_NO_EQUALITY = frozenset({"json", "xml", "point", "box", "path", "polygon", "line"})

_SQL_NAMES = {
    "decimal": "numeric",
    "float": "double precision",
    "timestamp": "timestamp without time zone",
    "time": "time without time zone",
    "varchar": "character varying",
}
_SHORT_NAMES = {
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "time without time zone": "time",
    "double precision": "float",
    "character varying": "varchar",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """One column that records are written to.

    Attributes:
        prop: the property's name in the record.
        name: the column's name in the table.
        type: the column's type as PostgreSQL spells it, for example "timestamp with time zone".
    """

    prop: str
    name: str
    type: str

    @property
    def is_json(self) -> bool:
        """True if the column stores the JSON text of any value."""
        return self.type in _JSON or self.type.startswith("vector")

    @property
    def comparable(self) -> bool:
        """True if two values can be compared with `=`."""
        return self.type not in _NO_EQUALITY


def identifier(name: str) -> str:
    """Return a name that PostgreSQL accepts unchanged; the same input gives the same name.

    Names over 63 bytes are cut and end in a hash of the whole name, so that two long names with
    the same beginning differ (PostgreSQL itself would cut both to the same name).
    """
    name = name.replace("\0", "\ufffd") or "_"
    if name in _SYSTEM_COLUMNS:
        return name + "_"
    raw = name.encode("utf-8", "replace")
    if len(raw) <= MAX_IDENTIFIER_BYTES:
        return raw.decode()
    digest = hashlib.sha256(raw).hexdigest()[:8]
    return raw[: MAX_IDENTIFIER_BYTES - 9].decode("utf-8", "ignore") + "_" + digest


def type_name(sql_type: sqlalchemy.types.TypeEngine[t.Any], dialect: sqlalchemy.Dialect) -> str:
    """Return the type as PostgreSQL's `format_type` would spell it."""
    text = sql_type.compile(dialect=dialect).lower().replace(", ", ",")
    base, bracket, rest = text.partition("(")
    return _SQL_NAMES.get(base, base) + bracket + rest


class Change(t.NamedTuple):
    """What to do with an existing column: keep it, alter it, or add another column (clash)."""

    action: t.Literal["keep", "alter", "clash"]
    type: str
    using: str = ""


def adapt(existing: str, wanted: str, column: str) -> Change:
    """Decide how a column of one type can store values of another type without loss.

    Args:
        existing: the column's type now.
        wanted: the type that the stream's schema needs now.
        column: the quoted column, for the expression that converts the stored values.
    """
    base = re.sub(r"\(.*\)", "", existing)
    if existing == wanted or base == "jsonb":
        return Change("keep", existing)
    if existing == "json" or existing.endswith("[]"):
        return (
            Change("alter", "jsonb", f"to_jsonb({column})")
            if wanted in _JSON
            else Change("clash", wanted)
        )
    if wanted in _JSON or base in _NO_TEXT_FORM or wanted in _NO_TEXT_FORM:
        # A text column can store the JSON text of any value.
        return Change("keep", existing) if existing == "text" else Change("clash", wanted)
    if existing == "text":
        return Change("keep", existing)
    if wanted == "text":
        return Change("alter", "text", f"{column}::text")
    if wanted in INTEGERS and existing in INTEGERS:
        wider = max(existing, wanted, key=INTEGERS.index)
        return Change("keep" if wider == existing else "alter", wider, f"{column}::{wider}")
    if wanted in INTEGERS and base == "numeric":
        return Change("keep", existing)
    if existing == "numeric" and wanted.startswith("numeric"):
        return Change("keep", existing)
    if wanted.startswith("numeric") and (
        base == "numeric" or existing in INTEGERS or existing in {"double precision", "real"}
    ):
        return Change("alter", "numeric", f"{column}::numeric")
    if wanted.startswith("timestamp") and base in {"date", "timestamp without time zone"}:
        # The session is in UTC: times stored without an offset are in UTC.
        return Change("alter", wanted, f"{column}::{wanted}")
    if wanted == "date" and existing.startswith("timestamp"):
        return Change("keep", existing)
    return Change("clash", wanted)


def versioned(name: str, sql_type: str) -> str:
    """Return the name of the column for values of a clashing type, for example value__jsonb."""
    base = re.sub(r"\(.*\)", "", sql_type)
    return identifier(f"{name}__{_SHORT_NAMES.get(base, base).replace(' ', '_')}")
