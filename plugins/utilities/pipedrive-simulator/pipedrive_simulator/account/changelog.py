"""History of records: one row per changed field, as in v1 `GET /deals/{id}/changelog`.

Rows are stored oldest first and served newest first. Values are text or null, also ids and amounts.
The values at creation have no rows, so no row has the first stage of a deal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

# Properties that have their v1 names in the changelog.
_V1_NAMES = {"owner_id": "user_id", "label_ids": "label"}
# Properties that change together with others and have no rows of their own.
_SILENT = {
    "update_time",
    "stage_change_time",
    "close_time",
    "local_won_date",
    "local_lost_date",
    "local_close_date",
    "is_deleted",
    "is_archived",
    "custom_fields",
}


#: (field key, old text, new text)
FieldChange = tuple[str, str | None, str | None]


class Change(NamedTuple):
    """One row. `number` increases over the whole account; `time` is an instant."""

    number: int
    time: str
    field_key: str
    old_value: str | None
    new_value: str | None
    actor_user_id: int
    source: str
    is_bulk: bool


class Changelog:
    """All rows of one entity, by record id."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Change]] = {}
        self._number = 0

    def rows(self, record_id: int) -> list[Change]:
        """Rows of one record, oldest first."""
        return self._rows.get(record_id, [])

    def add(
        self,
        record_id: int,
        time: str,
        changes: Iterator[FieldChange],
        *,
        actor: int,
        source: str = "app",
        is_bulk: bool = False,
    ) -> int:
        """Append one row per (field, old, new) that differs; return their number."""
        rows = self._rows.setdefault(record_id, [])
        before = len(rows)
        for key, old, new in changes:
            if old != new:
                self._number += 1
                rows.append(Change(self._number, time, key, old, new, actor, source, is_bulk))
        return len(rows) - before


def field_changes(name: str, old: Any, new: Any) -> Iterator[FieldChange]:
    """Turn the change of one property or custom field into (field key, old text, new text).

    Compound values (money, ranges, times, addresses) change under several keys, suffixed as in v1.
    """
    if name in _SILENT:
        return
    name = _V1_NAMES.get(name, name)
    if isinstance(old, dict) or isinstance(new, dict):
        old, new = old or {}, new or {}
        for part in dict.fromkeys([*old, *new]):
            key = name if part == "value" else f"{name}_{part}"
            yield key, as_text(old.get(part)), as_text(new.get(part))
        return
    yield name, as_text(old), as_text(new)


def as_text(value: Any) -> str | None:
    """Write a value as the changelog does: `1500`, `12.5`, `1` for true, `3,4` for a set."""
    if value is None or value == []:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    text = str(value)
    # Instants are naive in v1, also inside values.
    if len(text) == 20 and text[10] == "T" and text[19] == "Z":
        return f"{text[:10]} {text[11:19]}"
    return text
