"""Definitions of the account (fields, users, stages, pipelines, filters …), cached and compared.

A list that was read is cached in the limit store, so that other streams need no second read. It is
compared with the list that was cached before: changes (added, renamed, retyped, removed) are logged
and counted. A failure here never stops a sync.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from tap_pipedrive.api.limits.governor import Governor
from tap_pipedrive.api.records import Record
from tap_pipedrive.state.references import Name

#: Seconds for which a cached list is used instead of a new read, by stream.
FRESH_SECONDS = {
    "deal_fields": 900.0,
    "person_fields": 900.0,
    "organization_fields": 900.0,
    "product_fields": 900.0,
    "activity_fields": 900.0,
    "lead_fields": 900.0,
    "users": 3600.0,
    "pipelines": 3600.0,
    "stages": 3600.0,
    "filters": 3600.0,
    "roles": 3600.0,
    "project_boards": 3600.0,
}
#: Seconds for which a list is stored for comparison.
STORED_SECONDS = 90 * 86400.0
#: Names that are noted as missing from one list at most.
MOST_MISSING = 10_000


class Definitions:
    """The definitions of one account."""

    def __init__(self, governor: Governor) -> None:
        """Use the limit store of the governor."""
        self._governor = governor
        self._logger = logging.getLogger("tap-pipedrive")
        self.hits = 0
        self.misses = 0
        #: Changes of this run, by kind: added, removed, renamed, retyped, new_option.
        self.changes: Counter[str] = Counter()

    def of(self, name: str, read: Callable[[], list[Record]]) -> list[Record]:
        """Return a list: the cached one while it is fresh, otherwise a new read."""
        cached: list[Record] | None = _decoded(self._governor.recall(f"fresh:{name}"))
        if cached is not None:
            self.hits += 1
            return cached
        self.misses += 1
        records = read()
        self.observe(name, records)
        return records

    def observe(self, name: str, records: list[Record]) -> None:
        """Cache a list that was read, and report how it differs from the one before."""
        try:
            encoded = msgspec.json.encode(records)
        except RecursionError:  # nested too deeply for the cache
            return
        if name in FRESH_SECONDS:
            self._governor.remember(f"fresh:{name}", encoded, FRESH_SECONDS[name])
        before = self._governor.recall(f"known:{name}")
        if before == encoded:
            return
        self._governor.remember(f"known:{name}", encoded, STORED_SECONDS)
        if (known := _decoded(before)) is not None:
            for kind, what in differences(known, records):
                self.changes[kind] += 1
                self._logger.warning("%s: %s %s", name, kind, what)

    def last_read(self, name: str) -> list[Record] | None:
        """Return a list as it was last read, at any time; None if it is not cached."""
        records: list[Record] | None = _decoded(self._governor.recall(f"known:{name}"))
        return records

    def missing(self, name: str) -> set[Name]:
        """Return names that records use and that a list lacks although it was read again."""
        return set(_decoded(self._governor.recall(f"missing:{name}"), list[Name]) or ())

    def note_missing(self, name: str, names: set[Name]) -> None:
        """Add to :meth:`missing`, which stays bounded."""
        noted = sorted(self.missing(name) | names, key=repr)[:MOST_MISSING]
        self._governor.remember(f"missing:{name}", msgspec.json.encode(noted), STORED_SECONDS)

    def forget(self) -> None:
        """Drop all cached lists: the next use reads them again."""
        for name in FRESH_SECONDS:
            self._governor.forget(f"fresh:{name}")


def _decoded(stored: bytes | None, kind: Any = list[Record]) -> Any:
    """Decode a cached list; a damaged one counts as absent."""
    try:
        return None if stored is None else msgspec.json.decode(stored, type=kind)
    except ValueError:  # msgspec's errors are, and undecodable text is
        return None


def differences(before: list[Record], after: list[Record]) -> list[tuple[str, str]]:
    """Return the changes between two versions of a list, as (kind, description)."""
    old, new = ({_key(r): r for r in records} for records in (before, after))
    found = [("added", _named(new[key])) for key in new.keys() - old.keys()]
    found += [("removed", _named(old[key])) for key in old.keys() - new.keys()]
    for key in old.keys() & new.keys():
        was, now = old[key], new[key]
        if _label(was) != _label(now):
            found.append(("renamed", f"{_named(was)} to {_label(now)!r}"))
        if was.get("field_type") != now.get("field_type"):
            found.append(("retyped", f"{_named(now)} to {now.get('field_type')}"))
        options = {repr(o.get("id")) for o in _options(was)}
        for option in _options(now):
            if repr(option.get("id")) not in options:
                found.append(("new_option", f"{_named(now)}: {option.get('label')!r}"))
    return sorted(found)


def _options(record: Record) -> list[Record]:
    listed = record.get("options")
    return [o for o in listed if isinstance(o, dict)] if isinstance(listed, list) else []


def _key(record: Record) -> str:
    return str(record.get("field_code") or record.get("key") or record.get("id"))


def _label(record: Record) -> Any:
    return record.get("field_name") or record.get("name")


def _named(record: Record) -> str:
    return f"{_label(record)!r} ({_key(record)})"
