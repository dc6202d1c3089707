"""Which deals were seen, and which of them were ever seen closed or deleted: bits per deal id.

A reopened or restored deal shows in none of the times the API gives, so the tap remembers what
it saw. This is no Singer state: it grows with the account (375 kB at a million deals, less on
disk), and losing it loses nothing. A deal never seen counts as possibly reopened, so that after
a loss every updated deal is asked once, which rebuilds it.

Bits are only ever set. Written too early (a crash before the page was loaded) they cost at
most one question too many, never a missed one.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import msgspec

_MAGIC = b"seen-deals-1\n"
_CLOSED = frozenset({"won", "lost"})


class _Bits:
    """A growing set of small non-negative integers."""

    def __init__(self, data: bytes = b"") -> None:
        self._bytes = bytearray(data)

    def __contains__(self, number: int) -> bool:
        at = number >> 3
        return at < len(self._bytes) and bool(self._bytes[at] >> (number & 7) & 1)

    def add(self, number: int) -> None:
        at = number >> 3
        if at >= len(self._bytes):
            self._bytes.extend(bytes(at + 1 - len(self._bytes)))
        self._bytes[at] |= 1 << (number & 7)

    def dump(self) -> bytes:
        return bytes(self._bytes)


class SeenDeals:
    """The memory of one account, in a file or, without one, of this process only."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what an earlier run left; a damaged file counts as lost."""
        self._path = path
        self._seen, self._closed, self._deleted = _Bits(), _Bits(), _Bits()
        if path is not None:
            self._load(path)

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
        if status in _CLOSED or deal.get("close_time"):
            self._closed.add(deal_id)
        if status == "deleted" or deal.get("is_deleted"):
            self._deleted.add(deal_id)

    def save(self) -> None:
        """Write the memory to its file, if it has one."""
        if self._path is not None:
            self._save(self._path)

    def _load(self, path: Path) -> None:
        try:
            blob = path.read_bytes()
            if not blob.startswith(_MAGIC):
                return
            parts = msgspec.msgpack.decode(zlib.decompress(blob[len(_MAGIC) :]), type=list[bytes])
            self._seen, self._closed, self._deleted = map(_Bits, parts)
        except (OSError, ValueError, zlib.error):  # ValueError: msgspec's, or too few parts
            return

    def _save(self, path: Path) -> None:
        parts = [bits.dump() for bits in (self._seen, self._closed, self._deleted)]
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(_MAGIC + zlib.compress(msgspec.msgpack.encode(parts), 1))
        draft.replace(path)
