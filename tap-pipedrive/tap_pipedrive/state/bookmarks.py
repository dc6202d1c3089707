"""How far a walk in ``update_time`` order has come.

* A bookmark moves only over records that were emitted, so that a run cut off anywhere resumes
  there.
* It is inclusive and looks back a little: records that share the bookmark's second, and
  commits that became visible late, are read again. Repeats are harmless downstream.
* It never passes the source's own time at the start of the run (the signpost): what is
  edited while the walk is under way comes again next time.
* A walk that pays for each record (change logs) also keeps the exact position it was cut off
  at, ``after_id`` within the second, so that a small daily budget makes headway even through
  a bulk import that gave thousands of records one and the same second.
* A first walk that reads several windows of time at once notes in ``windows`` what it has read
  beyond the bookmark: a few spans, no more than it has threads.
* What was asked about a record inside the lookback is noted in ``settled``, so that an idle
  account costs no question twice.
* A list that a schedule reads at an interval of its own has ``read_at``, the source's time when a
  walk that came to its end was begun.

Times in a state are ``YYYY-MM-DDTHH:MM:SSZ``; they compare as text.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tap_pipedrive.api.lenient_json import SetAsideValues
from tap_pipedrive.times import LOOKBACK, tells_order, to_text, to_time

#: How the version of a record begins whose update time is impossible.
_ODD = "?"
#: Records noted as settled at the most: a state stays small even after a bulk import.
MOST_SETTLED = 100


def version_of(record: Any) -> str | None:
    """Name the version of a record: its update time, or what it gives instead of one."""
    if updated := record.get("update_time"):
        return to_text(to_time(updated))
    aside = record.get("_extra")
    odd = aside.get("update_time") if isinstance(aside, SetAsideValues) else None
    return None if odd is None else _ODD + hashlib.sha256(repr(odd).encode()).hexdigest()[:12]


#: Types of what a state entry holds, where another one would end the run in a crash.
_TYPES: dict[str, type | tuple[type, ...]] = {
    "replication_key_value": (str, type(None)),
    "after_id": int,
    "read_at": str,
    "windows": (list, type(None)),
    "settled": dict,
    "memory": dict,
    "partitions": list,
    "context": (dict, type(None)),
}


def check_state(state: dict[str, Any]) -> None:
    """Check the shape of a state that somebody hands to the tap.

    Raises:
        ValueError: it is not one that this tap wrote; says where.

    """
    streams = state.get("bookmarks", {})
    if not isinstance(streams, dict):
        msg = "bookmarks is no object"
        raise ValueError(msg)
    for stream, entry in streams.items():
        _check_entry(stream, entry)


def _check_entry(where: str, entry: Any) -> None:
    if not isinstance(entry, dict):
        msg = f"{where} is no object"
        raise ValueError(msg)
    for name, types in _TYPES.items():
        if name in entry and not isinstance(entry[name], types):
            msg = f"{name} of {where} is of a wrong type"
            raise ValueError(msg)
    for name in ("replication_key_value", "read_at"):
        try:
            to_text(to_time(entry.get(name) or "1970-01-02") - LOOKBACK)
        except (ValueError, OverflowError):
            msg = f"{name} of {where} is no time"
            raise ValueError(msg) from None
    for part in entry.get("partitions", []):
        _check_entry(f"a list of {where}", part)


class Bookmark:
    """The bookmark of one walk, kept in a writable Singer state entry."""

    def __init__(self, state: dict[str, Any], replication_key: str, start_date: str | None) -> None:
        """Wrap ``state`` (``{"replication_key": .., "replication_key_value": ..}``)."""
        self._state = state
        self._key = replication_key
        self._start_date = to_text(to_time(start_date)) if start_date else None
        self._before = copy.deepcopy(state)
        self._begun_at = self._position
        self._newly_settled: dict[str, str] = {}

    @property
    def value(self) -> str | None:
        """The largest ``update_time`` that was emitted, or None before the first page."""
        return self._state.get("replication_key_value")

    @property
    def _position(self) -> tuple[str, int] | None:
        after_id = self._state.get("after_id")
        return (self.value, after_id) if self.value and after_id is not None else None

    @property
    def since(self) -> str | None:
        """What to send as ``updated_since``; None means the whole history."""
        if not self.value:
            return self._start_date
        looked_back = self.value if self._position else to_text(to_time(self.value) - LOOKBACK)
        return max(looked_back, self._start_date or "")

    @property
    def finished(self) -> bool:
        """Whether a walk came to its end since the bookmark was begun.

        Until then the stream still owes records older than its bookmark says: a first walk
        that was cut off resumes by ``update_time``, but everything it meets is new to us.
        """
        return bool(self._state.get("first_walk_done"))

    def rewind(self) -> None:
        """Go back to where this run began: nothing of what came since could be read."""
        self._state.clear()
        self._state.update(copy.deepcopy(self._before))

    @property
    def read_at(self) -> str | None:
        """When the last walk that came to its end was begun; None where that is not noted."""
        return self._state.get("read_at")

    def finish(self, read_at: datetime | None = None) -> None:
        """Note that a walk came to its end.

        Args:
            read_at: the source's time at its start, for a list that is not due in every run.

        """
        self._state["first_walk_done"] = True
        if read_at is not None:
            self._state["read_at"] = to_text(read_at)
        self._state.pop("after_id", None)
        self._state.pop("windows", None)
        before = self._state.get("settled", {})
        # An impossible time does not say when it has left the lookback: it must be met again.
        before = {i: v for i, v in before.items() if not v.startswith(_ODD)}
        settled = self._recent({**before, **self._newly_settled})
        if settled or "settled" in self._state:
            self._state["settled"] = settled

    def advance(self, update_times: Iterable[str | None], signpost: datetime) -> None:
        """Move over a page that has been emitted."""
        latest = max((t for t in update_times if t), default=None)
        if latest is not None:
            self._move(min(to_text(to_time(latest)), to_text(signpost)))

    @property
    def windows(self) -> list[list[str]] | None:
        """Spans beyond the bookmark that were read ahead of it; None while nothing is."""
        return self._state.get("windows")

    def cover(self, reached: str, windows: list[list[str]] | None) -> None:
        """Move to where everything below was emitted; note the spans beyond that were, too."""
        self._move(reached)
        self._state["windows"] = windows
        if windows is None:
            del self._state["windows"]

    def covers(self, update_time: str | None, record_id: int) -> bool:
        """Whether the walk that was cut off had this record already."""
        if self._begun_at is None or not update_time:
            return False
        return (to_text(to_time(update_time)), record_id) <= self._begun_at

    def reach(
        self,
        update_time: str | None,
        record_id: int,
        signpost: datetime,
        now: datetime | None = None,
    ) -> None:
        """Move over one record; exact where commits that come late are out of the question.

        Args:
            update_time: when it last changed.
            record_id: its id.
            signpost: the source's time at the start of the walk.
            now: the source's time at the answer with this record, if it is known.

        """
        if not update_time or not tells_order(update_time, now):
            return
        moment = to_time(update_time)
        if self.value and to_text(moment) < self.value:
            return  # read again, or out of order: it tells nothing about the records before it
        if moment > signpost - LOOKBACK:
            self._state.pop("after_id", None)
            self._move(min(to_text(moment), to_text(signpost)))
        else:
            self._move(to_text(moment))
            self._state["after_id"] = record_id

    def settle(self, records: Iterable[dict[str, Any]], requested_at: datetime) -> None:
        """Note that everything was asked about records that last changed before ``requested_at``.

        A record that changed within that very second may change in it again.
        """
        for record in records:
            version = version_of(record)
            if version and (version < to_text(requested_at) or version.startswith(_ODD)):
                self._newly_settled[str(record["id"])] = version
        if len(self._newly_settled) > 10 * MOST_SETTLED:
            self._newly_settled = self._recent(self._newly_settled)

    def _recent(self, settled: dict[str, str]) -> dict[str, str]:
        """Keep what the next walk can meet again: the latest few inside the lookback."""
        latest = sorted((u, i) for i, u in settled.items() if u >= (self.since or ""))
        return {i: u for u, i in latest[-MOST_SETTLED:]}

    def is_settled(self, record: dict[str, Any]) -> bool:
        """Whether a finished walk asked everything about this version of the record."""
        if not self.finished or not (version := version_of(record)):
            return False
        is_known = bool(self._state.get("settled", {}).get(str(record["id"])) == version)
        if is_known and version.startswith(_ODD):
            self._newly_settled[str(record["id"])] = version
        return is_known

    def _move(self, reached: str) -> None:
        if self.value is None or reached > self.value:
            self._state["replication_key"] = self._key
            self._state["replication_key_value"] = reached
