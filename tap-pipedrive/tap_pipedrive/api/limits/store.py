"""Where limits are remembered: the interface, and the home in this process."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

try:
    import fcntl
except ImportError:  # Windows: one process at a time, then
    fcntl = None  # type: ignore[assignment]


#: Days of the ledger that are kept.
DAYS_KEPT = 3


class Home(Protocol):
    """What a governor needs remembered. All times are in seconds."""

    def reserve(self, limit: int, window: float) -> float:
        """Take a slot of the rolling window; 0.0 if granted, else how long until one is free."""

    def add_tokens(self, day: str, tokens: int) -> int:
        """Enter tokens into the day's ledger and return the day's total."""

    def tokens(self, day: str) -> int:
        """Tokens spent on a day (``YYYY-MM-DD``)."""

    def open_circuit(self, seconds: float, why: str) -> None:
        """Let nobody call for a while."""

    def circuit(self) -> tuple[float, str]:
        """How much longer nobody may call (0.0: closed, go ahead), and why."""

    def remember(self, key: str, value: bytes, seconds: float) -> None:
        """Cache a value."""

    def recall(self, key: str) -> bytes | None:
        """Read a cached value; None once it has expired."""

    def forget(self, key: str) -> None:
        """Drop a cached value."""


def _readable(text: str) -> dict[str, Any]:
    """Read what a file says; damage, or the form of another version, counts as nothing said."""
    try:
        kept = json.loads(text or "{}")
    except json.JSONDecodeError:
        return {}
    fits = isinstance(kept, dict) and isinstance(kept.get("tokens", {}), dict)
    return kept if fits else {}


class LocalHome:
    """The home of one process.

    With a folder, the day's ledger, the circuit and the cache outlive the process: the first two
    are kept in one small file under a lock. The window never does.
    """

    def __init__(self, folder: Path | None = None, account: str = "") -> None:
        """Use ``folder`` (made when needed) for what should outlive the process."""
        self._file = folder / f"limits-{account}.json" if folder else None
        self._cache_folder = folder / f"cache-{account}" if folder else None
        self._slots: deque[float] = deque()
        self._lock = threading.Lock()
        self._memory: dict[str, Any] = {}
        self._cache: dict[str, tuple[float, bytes]] = {}

    def reserve(self, limit: int, window: float) -> float:
        """See :meth:`Home.reserve`."""
        with self._lock:
            now = time.monotonic()
            while self._slots and self._slots[0] <= now - window:
                self._slots.popleft()
            if len(self._slots) < limit:
                self._slots.append(now)
                return 0.0
            return self._slots[0] + window - now

    def add_tokens(self, day: str, tokens: int) -> int:
        """See :meth:`Home.add_tokens`."""
        with self._kept() as kept:
            # A few days at once: around midnight two clocks may disagree about the date.
            days = {**kept.get("tokens", {})}
            days[day] = days.get(day, 0) + tokens
            kept["tokens"] = dict(sorted(days.items())[-DAYS_KEPT:])
            return int(days[day])

    def tokens(self, day: str) -> int:
        """See :meth:`Home.tokens`."""
        with self._kept() as kept:
            return int(kept.get("tokens", {}).get(day, 0))

    def open_circuit(self, seconds: float, why: str) -> None:
        """See :meth:`Home.open_circuit`."""
        with self._kept() as kept:
            kept.update(open_until=time.time() + seconds, why=why)

    def circuit(self) -> tuple[float, str]:
        """See :meth:`Home.circuit`."""
        with self._kept() as kept:
            return max(0.0, kept.get("open_until", 0.0) - time.time()), kept.get("why", "")

    def remember(self, key: str, value: bytes, seconds: float) -> None:
        """See :meth:`Home.remember`."""
        expires = time.time() + seconds
        self._cache[key] = (expires, value)
        if self._cache_folder is not None:
            self._cache_folder.mkdir(parents=True, exist_ok=True)
            file = self._cache_file(key)
            draft = file.with_suffix(f".{os.getpid()}")
            draft.write_bytes(struct.pack("!d", expires) + value)
            draft.replace(file)

    def recall(self, key: str) -> bytes | None:
        """See :meth:`Home.recall`."""
        if key not in self._cache and self._cache_folder is not None:
            with contextlib.suppress(OSError, struct.error):
                blob = self._cache_file(key).read_bytes()
                self._cache[key] = (struct.unpack("!d", blob[:8])[0], blob[8:])
        expires, value = self._cache.get(key, (0.0, b""))
        return value if expires > time.time() else None

    def forget(self, key: str) -> None:
        """See :meth:`Home.forget`."""
        self._cache.pop(key, None)
        if self._cache_folder is not None:
            self._cache_file(key).unlink(missing_ok=True)

    def _cache_file(self, key: str) -> Path:
        assert self._cache_folder is not None
        return self._cache_folder / f"{key.replace(':', '-')}.bin"

    @contextlib.contextmanager
    def _kept(self) -> Iterator[dict[str, Any]]:
        """Lend the ledger and circuit for reading and writing, under the lock."""
        with self._lock:
            if self._file is None:
                yield self._memory
                return
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a+", encoding="utf-8") as file:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                before = file.read()
                kept = _readable(before)
                yield kept
                after = json.dumps(kept)
                if after != before:
                    file.seek(0)
                    file.truncate()
                    file.write(after)
