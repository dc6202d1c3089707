"""Which deals were seen, and which were ever seen closed or deleted: bits per deal id.

Reopening or restoring a deal changes none of the times that the API gives, so the tap remembers the
deals. This is not Singer state: it grows with the account (375 kB at a million deals, less when
stored), and losing it loses no data. A deal that was never seen may have been reopened; after a
loss the log of every updated deal is read once, which restores the memory.

The memory is in the limit store (Redis, or ``state_dir``) and belongs to one sequence of Singer
states: a mark in the state, ``{"id": .., "n": ..}``, names it and counts its versions. A memory
that is newer than the state (the loader has not committed these records) is not used, nor an older
one (a run with another store has seen more).
"""

from __future__ import annotations

import uuid
import zlib
from typing import Any

import msgspec

from tap_pipedrive.api.limits.governor import Governor

#: Not a set: a damaged status may be of any type, and a set asks for a hash.
CLOSED = ("won", "lost")
#: Larger ids are not remembered (2 to the 27th: 16 MB for a set of bits).
_LARGEST_ID = 1 << 27
_STORED_SECONDS = 400 * 86400.0


class _Bits:
    """A growing set of small non-negative integers."""

    def __init__(self, data: bytes = b"") -> None:
        self._bytes = bytearray(data)

    def __contains__(self, number: int) -> bool:
        at = number >> 3
        return 0 <= at < len(self._bytes) and bool(self._bytes[at] >> (number & 7) & 1)

    def add(self, number: int) -> None:
        at = number >> 3
        if not 0 <= number < _LARGEST_ID:
            return
        if at >= len(self._bytes):
            self._bytes.extend(bytes(at + 1 - len(self._bytes)))
        self._bytes[at] |= 1 << (number & 7)

    def dump(self) -> bytes:
        return bytes(self._bytes)


class SeenDeals:
    """The memory that belongs to one sequence of states."""

    def __init__(self, governor: Governor, mark: dict[str, Any]) -> None:
        """Read the memory of an earlier run; a damaged one counts as lost.

        Args:
            governor: keeps the memory in its store.
            mark: ``{"id": .., "n": ..}`` inside the Singer state, filled in when empty.

        """
        mark.setdefault("id", uuid.uuid4().hex[:12])
        mark.setdefault("n", 0)
        self._governor, self._mark = governor, mark
        self._seen, self._closed, self._deleted = _Bits(), _Bits(), _Bits()
        self._load()

    def may_have_returned(self, deal: dict[str, Any]) -> bool:
        """Whether a deal may have been reopened, or restored after it was deleted."""
        deal_id = deal["id"]
        if deal_id not in self._seen or deal_id in self._deleted:
            return True
        return deal.get("status") == "open" and deal_id in self._closed

    def add(self, deal: dict[str, Any]) -> None:
        """Remember a deal."""
        deal_id, status = deal["id"], deal.get("status")
        self._seen.add(deal_id)
        if status in CLOSED or deal.get("close_time"):
            self._closed.add(deal_id)
        if status == "deleted" or deal.get("is_deleted"):
            self._deleted.add(deal_id)

    def forget(self) -> None:
        """Take every deal for one that was never seen: one of them could not be read.

        Its id is not known, and the watermark passes its moves. When it is sound again, its log is
        read, however old these moves are.
        """
        self._seen = _Bits()

    def save(self) -> None:
        """Store the memory; it belongs to the state that is written next."""
        self._mark["n"] += 1
        parts = [bits.dump() for bits in (self._seen, self._closed, self._deleted)]
        blob = zlib.compress(msgspec.msgpack.encode((self._mark["n"], *parts)), 1)
        self._governor.remember(self._key, blob, _STORED_SECONDS)

    @property
    def _key(self) -> str:
        return f"seen-deals:{self._mark['id']}"

    def _load(self) -> None:
        blob = self._governor.recall(self._key)
        if blob is None:
            return
        try:
            n, *parts = msgspec.msgpack.decode(
                zlib.decompress(blob), type=tuple[int, bytes, bytes, bytes]
            )
        except (ValueError, zlib.error):  # ValueError: msgspec's
            return
        if n == self._mark["n"]:
            self._seen, self._closed, self._deleted = map(_Bits, parts)
