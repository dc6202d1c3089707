"""Which deals were seen, and which of them were ever seen closed: two bits per deal id.

A reopened deal shows in none of the times the API gives, so the tap remembers what it saw.
This is no Singer state: it grows with the account (250 kB at a million deals, less on disk),
and losing it loses nothing. A deal never seen counts as possibly reopened, so that after a
loss every updated open deal is asked once, which rebuilds it.

Bits are only ever set. Written too early (a crash before the page was loaded) they cost at
most one question too many, never a missed one.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

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
        self._seen, self._closed = _Bits(), _Bits()
        if path is not None:
            self._load(path)

    def may_be_reopened(self, deal_id: int) -> bool:
        """Whether a deal that is open now may have been closed before."""
        return deal_id in self._closed or deal_id not in self._seen

    def add(self, deal: dict[str, Any]) -> None:
        """Remember a deal."""
        self._seen.add(deal["id"])
        if deal.get("status") in _CLOSED or deal.get("close_time"):
            self._closed.add(deal["id"])

    def save(self) -> None:
        """Write the memory to its file, if it has one."""
        if self._path is not None:
            self._save(self._path)

    def _load(self, path: Path) -> None:
        try:
            blob = path.read_bytes()
            if not blob.startswith(_MAGIC):
                return
            body = zlib.decompress(blob[len(_MAGIC) :])
            size = int.from_bytes(body[:8], "big")
            self._seen, self._closed = _Bits(body[8 : 8 + size]), _Bits(body[8 + size :])
        except (OSError, zlib.error):
            return

    def _save(self, path: Path) -> None:
        seen = self._seen.dump()
        body = len(seen).to_bytes(8, "big") + seen + self._closed.dump()
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_bytes(_MAGIC + zlib.compress(body, 1))
        draft.replace(path)
