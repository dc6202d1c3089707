"""The position of a read in ``update_time`` order.

* A bookmark moves only over records that were emitted, so that an interrupted run resumes there.
* It is inclusive and looks back a little: records of the bookmark's own second, and records that
  became visible late, are read again. Repeated records do no harm in the warehouse.
* It never passes the source's own time at the start of the read (the signpost): a record that is
  edited during the read comes again in the next run.
* A per-record stream also keeps its exact position, ``after_id`` within the second. A small daily
  budget thus makes progress even in a bulk import that gave thousands of records the same second.
* A first read in several windows of time notes in ``windows`` the spans that are read beyond the
  bookmark: not more than it has threads.
* ``settled`` holds the records inside the lookback that per-record streams have handled, so that an
  idle account costs no call twice.
* ``read_at`` is the source's time at the start of the last complete read, for a list that a
  scheduled run reads at an interval.
* ``complete_through`` is where a read began that has not ended. The bookmark moves with each page,
  but a record on a later page may have changed long before its last update: what happened to it
  after ``complete_through`` is still unknown, also in the run after an interruption.

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

#: The prefix of a version whose update time is impossible.
_IMPOSSIBLE = "?"
#: Records in ``settled`` at most: a state stays small even after a bulk import.
MOST_SETTLED = 100


def version_of(record: Any) -> str | None:
    """Return the version of a record: its update time; a digest of it if that time is invalid.

    An invalid time may stay the same when the record changes.
    """
    if updated := record.get("update_time"):
        return to_text(to_time(updated))
    aside = record.get("_extra")
    if not isinstance(aside, SetAsideValues) or "update_time" not in aside:
        return None
    try:
        whole = repr(record).encode("utf-8", "backslashreplace")
    except RecursionError:  # nested too deeply: it counts as changed each time
        return None
    return _IMPOSSIBLE + hashlib.sha256(whole).hexdigest()[:12]


#: Types of the values in a state entry; another type would crash the run.
_TYPES: dict[str, type | tuple[type, ...]] = {
    "replication_key_value": (str, type(None)),
    "after_id": int,
    "read_at": str,
    "complete_through": str,
    "windows": (list, type(None)),
    "settled": dict,
    "memory": dict,
    "partitions": list,
    "context": (dict, type(None)),
}


def check_state(state: dict[str, Any]) -> None:
    """Check the shape of a state that the tap was started with.

    Raises:
        ValueError: this tap cannot have written it; the message says where.

    """
    streams = state.get("bookmarks", {})
    if not isinstance(streams, dict):
        msg = "bookmarks is not an object"
        raise ValueError(msg)
    for stream, entry in streams.items():
        _check_entry(stream, entry)


def _check_entry(where: str, entry: Any) -> None:
    if not isinstance(entry, dict):
        msg = f"{where} is not an object"
        raise ValueError(msg)
    for name, types in _TYPES.items():
        if name in entry and not isinstance(entry[name], types):
            msg = f"{name} of {where} has a wrong type"
            raise ValueError(msg)
    for name in ("replication_key_value", "read_at", "complete_through"):
        try:
            to_text(to_time(entry.get(name) or "1970-01-02") - LOOKBACK)
        except (ValueError, OverflowError):
            msg = f"{name} of {where} is not a time"
            raise ValueError(msg) from None
    for part in entry.get("partitions", []):
        _check_entry(f"a list of {where}", part)


class Bookmark:
    """The bookmark of one list, kept in a writable Singer state entry."""

    def __init__(self, state: dict[str, Any], replication_key: str, start_date: str | None) -> None:
        """Wrap ``state`` (``{"replication_key": .., "replication_key_value": ..}``)."""
        self._state = state
        self._key = replication_key
        self._start_date = to_text(to_time(start_date)) if start_date else None
        self._before = copy.deepcopy(state)
        self._started_at = self._position
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
        """The value for ``updated_since``; None means the whole history."""
        if not self.value:
            return self._start_date
        looked_back = self.value if self._position else to_text(to_time(self.value) - LOOKBACK)
        return max(looked_back, self._start_date or "")

    @property
    def finished(self) -> bool:
        """Whether a read from the start has ended.

        Until then every record is new: an interrupted first read resumes by ``update_time``, and
        no record behind its bookmark was read before.
        """
        return bool(self._state.get("first_walk_done"))

    @property
    def complete_through(self) -> str | None:
        """The time up to which all changes are known; None before a read has ended.

        Empty if that read met no record: any record of the list may be new to it, and yet be known
        to the warehouse, since records move from one list into another.
        """
        if not self.finished:
            return None
        return str(self._state.get("complete_through", self.since or ""))

    def begin(self) -> None:
        """Note before the first page of a read up to when all changes are known."""
        if (known := self.complete_through) is not None:
            self._state["complete_through"] = known

    def rewind(self) -> None:
        """Go back to the position at the start of this run."""
        self._state.clear()
        self._state.update(copy.deepcopy(self._before))

    @property
    def read_at(self) -> str | None:
        """The source's time at the start of the last complete read; None if not noted."""
        return self._state.get("read_at")

    def finish(self, read_at: datetime | None = None) -> None:
        """Note that a read has ended.

        Args:
            read_at: the source's time at its start, for a list that is read at an interval.

        """
        self._state["first_walk_done"] = True
        if read_at is not None:
            self._state["read_at"] = to_text(read_at)
        for name in ("after_id", "windows", "complete_through"):
            self._state.pop(name, None)
        before = self._state.get("settled", {})
        # An impossible time does not say when it leaves the lookback: keep it if it comes again.
        before = {i: v for i, v in before.items() if not v.startswith(_IMPOSSIBLE)}
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
        """Spans beyond the bookmark that were read already; None without windows."""
        return self._state.get("windows")

    def cover(self, reached: str, windows: list[list[str]] | None) -> None:
        """Move to ``reached``, below which all is emitted; note the spans emitted beyond it."""
        self._move(reached)
        self._state["windows"] = windows
        if windows is None:
            del self._state["windows"]

    def covers(self, update_time: str | None, record_id: int) -> bool:
        """Whether the interrupted read has handled this record already."""
        if self._started_at is None or not update_time:
            return False
        return (to_text(to_time(update_time)), record_id) <= self._started_at

    def reach(
        self,
        update_time: str | None,
        record_id: int,
        signpost: datetime,
        now: datetime | None = None,
    ) -> None:
        """Move over one record; exactly, if it is too old for late commits before it.

        Args:
            update_time: when it last changed.
            record_id: its id.
            signpost: the source's time at the start of the read.
            now: the source's time at the response with this record, if it is known.

        """
        if not update_time or not tells_order(update_time, now):
            return
        moment = to_time(update_time)
        if self.value and to_text(moment) < self.value:
            return  # read again, or out of order: it says nothing about the records before it
        if moment > signpost - LOOKBACK:
            self._state.pop("after_id", None)
            self._move(min(to_text(moment), to_text(signpost)))
        else:
            self._move(to_text(moment))
            self._state["after_id"] = record_id

    def settle(self, records: Iterable[dict[str, Any]], requested_at: datetime) -> None:
        """Note that records which last changed before ``requested_at`` were handled.

        A record that changed within that second may change in it again.
        """
        for record in records:
            version = version_of(record)
            if version and (version < to_text(requested_at) or version.startswith(_IMPOSSIBLE)):
                self._newly_settled[str(record["id"])] = version
        if len(self._newly_settled) > 10 * MOST_SETTLED:
            self._newly_settled = self._recent(self._newly_settled)

    def _recent(self, settled: dict[str, str]) -> dict[str, str]:
        """Keep the records that the next read meets again: the latest few inside the lookback."""
        latest = sorted((u, i) for i, u in settled.items() if u >= (self.since or ""))
        return {i: u for u, i in latest[-MOST_SETTLED:]}

    def is_settled(self, record: dict[str, Any]) -> bool:
        """Whether an earlier read has handled this version of the record."""
        if not self.finished or not (version := version_of(record)):
            return False
        is_known = bool(self._state.get("settled", {}).get(str(record["id"])) == version)
        if is_known and version.startswith(_IMPOSSIBLE):
            self._newly_settled[str(record["id"])] = version
        return is_known

    def _move(self, reached: str) -> None:
        if self.value is None or reached > self.value:
            self._state["replication_key"] = self._key
            self._state["replication_key_value"] = reached
