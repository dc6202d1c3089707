"""Turn the facts of one operation into a stream's JSON schema.

Rules, each with a reason in the real API:

* every property but the key is nullable: the documents do not declare all nulls;
* no closed enums: Pipedrive adds values without notice;
* the name of a property makes it a ``date-time``, because v2 declares times as strings;
* nested values stay one object or array (``jsonb`` in PostgreSQL), also custom fields;
* ``_extra`` keeps properties that the documents lack.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tap_pipedrive.api.openapi import Operation

#: Times whose names do not end in ``_time`` (v1 users, changelog).
TIMES = frozenset({"created", "modified", "last_login", "time"})
#: Clock times and durations: their names end in ``_time``, but they have no date.
CLOCKS = frozenset({"due_time"})
#: Dates that the documents declare as strings.
DATES = frozenset({"due_date", "billing_start_date", "local_won_date", "local_lost_date",
                   "local_close_date", "expected_close_date"})  # fmt: skip
#: The property that keeps unknown properties.
EXTRA = "_extra"

_TYPES: dict[str, dict[str, Any]] = {
    "integer": {"type": ["integer", "null"]},
    "number": {"type": ["number", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "string": {"type": ["string", "null"]},
    "date": {"type": ["string", "null"], "format": "date"},
    "date-time": {"type": ["string", "null"], "format": "date-time"},
    "array": {"type": ["array", "null"], "items": {}},
    "object": {"type": ["object", "null"]},
}


def property_type(name: str, declared: str) -> str:
    """Return the type of a property: the declared one, or ``date``/``date-time`` by its name."""
    if declared != "string" or name in CLOCKS:
        return declared
    if name in TIMES or name.endswith("_time"):
        return "date-time"
    return "date" if name in DATES else "string"


def stream_types(
    operations: Iterable[Operation], more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Unite the properties of all operations a stream reads, with ``more`` on top.

    Returns ``{property: type}`` with the type names of :func:`property_type`.
    """
    declared: dict[str, str] = {}
    for op in operations:
        declared.update(op.record)
    types = {name: property_type(name, kind) for name, kind in declared.items()}
    return {**types, **(more or {})}


def stream_schema(types: Mapping[str, str], keys: Iterable[str]) -> dict[str, Any]:
    """Build the JSON schema of a stream from its property types; keys come first, not null."""
    properties: dict[str, Any] = {}
    for name in keys:
        properties[name] = {**_TYPES[types[name]], "type": [_TYPES[types[name]]["type"][0]]}
    for name in sorted(types.keys() - properties.keys()):
        properties[name] = dict(_TYPES[types[name]])
    properties[EXTRA] = dict(_TYPES["object"])
    return {"type": "object", "properties": properties, "required": list(keys)}
