"""Records that do not fit their stream are sent as text, in the stream ``tap_quarantine``.

They are Singer records like all others, and are stored with the state that follows them. A record
is quarantined once per run, even if it is read several times.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from datetime import datetime, timezone
from typing import Any

import msgspec
from singer_sdk.singerlib import SchemaMessage

from tap_pipedrive.messages import PageWriter

STREAM = "tap_quarantine"
_TEXT = {"type": ["string"]}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "stream": _TEXT,
        "key": {"type": ["string", "null"]},
        "reason": _TEXT,
        "record": _TEXT,
        "extracted_at": {"type": ["string"], "format": "date-time"},
    },
}
#: Records that are remembered, so that each is sent once.
_MOST_REMEMBERED = 100_000


class Quarantine:
    """Quarantined records of a run, added in any thread and written in the main thread."""

    def __init__(self) -> None:
        """Start without a record."""
        #: Quarantined records that were written.
        self.count = 0
        self.by_stream: Counter[str] = Counter()
        self._waiting: list[dict[str, Any]] = []
        self._known: set[bytes] = set()
        self._lock = threading.Lock()

    def add(self, stream: str, reason: str, record: str, key: dict[str, Any] | None = None) -> bool:
        """Add a record, unless this run has added it before.

        Args:
            stream: the stream of the record.
            reason: why the record does not fit.
            record: its text, see :func:`~tap_pipedrive.api.lenient_json.printable`.
            key: its key, as far as it is known.

        Returns:
            Whether the record is new.

        """
        entry = {
            "stream": stream,
            "key": msgspec.json.encode(key).decode() if key else None,
            "reason": reason,
            "record": record,
        }
        mark = hashlib.blake2b(msgspec.json.encode(entry), digest_size=12).digest()
        with self._lock:
            if mark in self._known:
                return False
            if len(self._known) < _MOST_REMEMBERED:
                self._known.add(mark)
            self.by_stream[stream] += 1
            self._waiting.append(entry)
        return True

    def write(self, writer: PageWriter) -> None:
        """Write the records that wait; called before each state and at the end."""
        if not self._waiting:
            return
        with self._lock:
            entries, self._waiting = self._waiting, []
        if not self.count:
            writer.write_message(SchemaMessage(STREAM, SCHEMA, key_properties=[]))
        now = datetime.now(timezone.utc)
        writer.write_page(STREAM, [{**e, "extracted_at": now.isoformat()} for e in entries], now)
        self.count += len(entries)
