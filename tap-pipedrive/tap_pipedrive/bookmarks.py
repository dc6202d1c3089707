"""How far a walk in ``update_time`` order has come.

* A bookmark moves only over records that were emitted, page by page, so that a run cut off
  anywhere resumes there.
* It is inclusive and looks back a little: records that share the bookmark's second, and
  commits that became visible late, are read again. Repeats are harmless downstream.
* It never passes the source's own time at the start of the run (the signpost): what is
  edited while the walk is under way comes again next time.

Times are strings ``YYYY-MM-DDTHH:MM:SSZ``; they compare as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

LOOKBACK = timedelta(seconds=120)


def to_text(moment: datetime) -> str:
    """Write a time the way ``updated_since`` wants it: whole seconds, UTC, ``Z``.

    Fractions are cut, not rounded: the API answers 400 to them, and cutting errs on the side
    of reading a record again.
    """
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_time(text: str) -> datetime:
    """Read an ISO 8601 time; one without a zone is UTC."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


class Bookmark:
    """The bookmark of one walk, kept in a writable Singer state entry."""

    def __init__(self, state: dict[str, Any], replication_key: str, start_date: str | None) -> None:
        """Wrap ``state`` (``{"replication_key": .., "replication_key_value": ..}``)."""
        self._state = state
        self._key = replication_key
        self._start_date = to_text(to_time(start_date)) if start_date else None

    @property
    def value(self) -> str | None:
        """The largest ``update_time`` that was emitted, or None before the first page."""
        return self._state.get("replication_key_value")

    @property
    def since(self) -> str | None:
        """What to send as ``updated_since``; None means the whole history."""
        if not self.value:
            return self._start_date
        looked_back = to_text(to_time(self.value) - LOOKBACK)
        return max(looked_back, self._start_date or "")

    @property
    def finished(self) -> bool:
        """Whether a walk came to its end since the bookmark was begun.

        Until then the stream still owes records older than its bookmark says: a first walk
        that was cut off resumes by ``update_time``, but everything it meets is new to us.
        """
        return bool(self._state.get("first_walk_done"))

    def finish(self) -> None:
        """Note that a walk came to its end."""
        self._state["first_walk_done"] = True

    def advance(self, update_times: Iterable[str | None], signpost: datetime) -> None:
        """Move over a page that has been emitted."""
        latest = max((t for t in update_times if t), default=None)
        if latest is None:
            return
        reached = min(to_text(to_time(latest)), to_text(signpost))
        if self.value is None or reached > self.value:
            self._state["replication_key"] = self._key
            self._state["replication_key_value"] = reached
