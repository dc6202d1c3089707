"""The names that records use: stages, users, labels, options and other definitions.

A scheduled run does not always read those lists (:mod:`tap_pipedrive.state.cadence`). It compares
what its records name with what each list held when it was last read. A list that did not hold a
name is read at once. The comparison needs the list as it was remembered; a list that is not
remembered is due anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

Name = int | str
#: The key of a custom field, also where v1 writes it beside other properties.
_FIELD_CODE = re.compile(r"[0-9a-f]{40}")


def values_of(records: Iterable[Any], name: str) -> set[Name]:
    """Collect the values of a property; of a list, its elements."""
    return {value for record in records for value in _plain_values(record.get(name))}


def field_names(records: Iterable[Any], with_options: frozenset[str]) -> set[Name]:
    """Collect the custom fields of records, and as ``code:option`` the options chosen.

    Args:
        records: as the API sent them, or rows.
        with_options: codes of the fields whose values are ids of options.

    """
    found: set[Name] = set()
    for record in records:
        fields = _fields_of(record, with_options)
        found.update(fields)
        for code in with_options.intersection(fields):
            for option in _plain_values(fields[code]):
                # v1 joins the options of a set.
                found.update(f"{code}:{part}" for part in str(option).split(","))
    return found


def field_code(key: str) -> str | None:
    """Return the code of the custom field that a key belongs to (``<code>_currency``), if any."""
    found = _FIELD_CODE.match(key)
    return found[0] if found else None


def _fields_of(record: Any, with_options: frozenset[str]) -> dict[str, Any]:
    """Return the custom fields of a record, and its labels where they are options of a field."""
    if "custom_fields" not in record:  # v1 writes them beside the other properties
        keys = record if isinstance(record, dict) else ()
        return {code: record.get(code) for key in keys if (code := field_code(key))}
    custom = record["custom_fields"]
    if isinstance(custom, msgspec.Raw):
        custom = msgspec.json.decode(custom)
    fields = dict(custom) if isinstance(custom, Mapping) else {}
    if "label_ids" in with_options:
        fields["label_ids"] = record.get("label_ids")
    return fields


def _plain_values(value: Any) -> Iterator[Name]:
    """Yield numbers and texts; of an object its id, of a list the values of its elements."""
    if isinstance(value, msgspec.Raw):
        value = msgspec.json.decode(value)
    if isinstance(value, list):
        for each in value:
            yield from _plain_values(each)
    elif isinstance(value, Mapping):
        yield from _plain_values(value.get("id"))
    elif isinstance(value, int | str) and value != "":
        yield value
