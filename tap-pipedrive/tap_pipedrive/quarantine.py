"""Records that cannot be sent as what they are: sent as text, as the stream ``tap_quarantine``.

They go through the Singer pipe like all others, so that they are stored with the state that
follows them. A record is quarantined once a run, however often a walk meets it.
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
#: Records that are remembered, so that none is sent twice.
_MOST_REMEMBERED = 100_000


class Quarantine:
    """What a run set aside; told from any thread, written in the one that writes messages."""

    def __init__(self) -> None:
        """Nothing is set aside yet."""
        #: Records of this stream that were written.
        self.count = 0
        self.by_stream: Counter[str] = Counter()
        self._waiting: list[dict[str, Any]] = []
        self._known: set[bytes] = set()
        self._lock = threading.Lock()

    def add(self, stream: str, reason: str, record: str, key: dict[str, Any] | None = None) -> bool:
        """Set a record aside, unless this run did so before.

        Args:
            stream: where it should have gone.
            reason: why it cannot.
            record: its text, see :func:`lenient_json.printable`.
            key: its key, as far as that is known.

        Returns:
            Whether it is a new one.

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
        """Write what waits; to be called before each state and at the end."""
        if not self._waiting:
            return
        with self._lock:
            entries, self._waiting = self._waiting, []
        if not self.count:
            writer.write_message(SchemaMessage(STREAM, SCHEMA, key_properties=[]))
        now = datetime.now(timezone.utc)
        writer.write_page(STREAM, [{**e, "extracted_at": now.isoformat()} for e in entries], now)
        self.count += len(entries)
