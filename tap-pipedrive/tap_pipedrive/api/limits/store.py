"""The store of the limits: its interface, and the store of one process."""

from __future__ import annotations

import contextlib
import errno
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
except ImportError:  # pragma: no cover: Windows has no locks; one process at a time, then
    fcntl = None  # type: ignore[assignment]


#: The file of a ledger and a circuit is far smaller.
MOST_BYTES = 1 << 20
#: Days in the ledger.
LEDGER_DAYS = 3
#: What is written before a cached value: a mark, the time of writing and the seconds it is kept.
#: Earlier versions wrote only the time of its end.
_HEAD, _MARK = struct.Struct("!4sdd"), b"pbc2"


class StoreUnavailableError(Exception):
    """The store cannot be reached, or returned an unexpected value; the message names the error."""


class LimitStore(Protocol):
    """Keeps what a governor needs between calls. All times are in seconds."""

    def reserve(self, limit: int, window: float) -> float:
        """Take a slot of the rolling window; return 0.0, or the seconds until one is free."""

    def add_tokens(self, day: str, tokens: int) -> int:
        """Enter tokens into the day's ledger and return the day's total."""

    def book(self, day: str, tokens: int) -> tuple[float, str]:
        """Do :meth:`add_tokens` and :meth:`circuit` in one step; return the circuit."""

    def tokens(self, day: str) -> int:
        """Tokens spent on a day (``YYYY-MM-DD``)."""

    def open_circuit(self, seconds: float, why: str) -> None:
        """Stop all calls for a while."""

    def circuit(self) -> tuple[float, str]:
        """Return for how long calls are stopped (0.0: not at all), and why."""

    def remember(self, key: str, value: bytes, seconds: float) -> None:
        """Cache a value."""

    def recall(self, key: str) -> bytes | None:
        """Read a cached value; None once it has expired."""

    def forget(self, key: str) -> None:
        """Drop a cached value."""


def _parsed(text: bytes) -> dict[str, Any]:
    """Parse the file; a damaged one, or one of another version, counts as empty."""
    try:
        stored = json.loads(text or b"{}")
    except ValueError:
        return {}
    fits = isinstance(stored, dict) and isinstance(stored.get("tokens", {}), dict)
    return stored if fits else {}


def _left(since: float, seconds: float) -> float:
    """Return for how many seconds more something holds that has held since a time.

    The clock may be put right in between: what was noted further ahead than it was to hold, counts
    as ended.
    """
    passed = time.time() - since
    return seconds - passed if abs(passed) < seconds else 0.0


def _enter(stored: dict[str, Any], day: str, tokens: int) -> int:
    # More than one day: around midnight two clocks may disagree about the date.
    days = {**stored.get("tokens", {})}
    days[day] = days.get(day, 0) + tokens
    stored["tokens"] = dict(sorted(days.items())[-LEDGER_DAYS:])
    return int(days[day])


def _circuit(stored: dict[str, Any]) -> tuple[float, str]:
    left = _left(stored.get("opened_at", 0.0), stored.get("seconds", 0.0))
    return left, stored.get("why", "")


def _unpacked(blob: bytes) -> tuple[float, float, bytes]:
    """Return when a cached value was written, for how many seconds it is kept, and the value."""
    if blob.startswith(_MARK):
        _, written, seconds = _HEAD.unpack(blob[: _HEAD.size])
        return written, seconds, blob[_HEAD.size :]
    now = time.time()
    return now, struct.unpack("!d", blob[:8])[0] - now, blob[8:]


class LocalStore:
    """The store of one process.

    With a folder, the ledger, the circuit and the cache outlive the process: the first two are in
    one small file, used under a lock. The window does not outlive it.
    """

    def __init__(self, folder: Path | None = None, account: str = "") -> None:
        """Use ``folder`` (made when needed) for the values that outlive the process."""
        self._file = folder / f"limits-{account}.json" if folder else None
        self._cache_folder = folder / f"cache-{account}" if folder else None
        self._slots: deque[float] = deque()
        self._lock = threading.Lock()
        self._memory: dict[str, Any] = {}
        self._cache: dict[str, tuple[float, float, bytes]] = {}

    def reserve(self, limit: int, window: float) -> float:
        """See :meth:`LimitStore.reserve`."""
        with self._lock:
            now = time.monotonic()
            while self._slots and self._slots[0] <= now - window:
                self._slots.popleft()
            if len(self._slots) < limit:
                self._slots.append(now)
                return 0.0
            return self._slots[0] + window - now

    def add_tokens(self, day: str, tokens: int) -> int:
        """See :meth:`LimitStore.add_tokens`."""
        with self._stored() as stored:
            return _enter(stored, day, tokens)

    def book(self, day: str, tokens: int) -> tuple[float, str]:
        """See :meth:`LimitStore.book`."""
        with self._stored() as stored:
            _enter(stored, day, tokens)
            return _circuit(stored)

    def tokens(self, day: str) -> int:
        """See :meth:`LimitStore.tokens`."""
        with self._stored() as stored:
            return int(stored.get("tokens", {}).get(day, 0))

    def open_circuit(self, seconds: float, why: str) -> None:
        """See :meth:`LimitStore.open_circuit`."""
        with self._stored() as stored:
            stored.update(opened_at=time.time(), seconds=seconds, why=why)

    def circuit(self) -> tuple[float, str]:
        """See :meth:`LimitStore.circuit`."""
        with self._stored() as stored:
            return _circuit(stored)

    def remember(self, key: str, value: bytes, seconds: float) -> None:
        """See :meth:`LimitStore.remember`."""
        written = time.time()
        self._cache[key] = (written, seconds, value)
        if self._cache_folder is not None:
            self._cache_folder.mkdir(parents=True, exist_ok=True)
            file = self._cache_file(key)
            draft = file.with_suffix(f".{os.getpid()}")
            draft.write_bytes(_HEAD.pack(_MARK, written, seconds) + value)
            draft.replace(file)

    def recall(self, key: str) -> bytes | None:
        """See :meth:`LimitStore.recall`."""
        if key not in self._cache and self._cache_folder is not None:
            with contextlib.suppress(OSError, struct.error):
                self._cache[key] = _unpacked(self._cache_file(key).read_bytes())
        written, seconds, value = self._cache.get(key, (0.0, 0.0, b""))
        return value if _left(written, seconds) else None

    def forget(self, key: str) -> None:
        """See :meth:`LimitStore.forget`."""
        self._cache.pop(key, None)
        if self._cache_folder is not None:
            self._cache_file(key).unlink(missing_ok=True)

    def _cache_file(self, key: str) -> Path:
        assert self._cache_folder is not None
        return self._cache_folder / f"{key.replace(':', '-')}.bin"

    @contextlib.contextmanager
    def _stored(self) -> Iterator[dict[str, Any]]:
        """Yield the ledger and the circuit to read and change, under the lock."""
        with self._lock:
            if self._file is None:
                yield self._memory
                return
            try:
                handle = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # the folder; looking for it first costs as much as the rest
                self._file.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                if fcntl is not None:  # pragma: no branch: Windows
                    fcntl.flock(handle, fcntl.LOCK_EX)
                before = os.read(handle, MOST_BYTES)
                stored = _parsed(before)
                yield stored
                after = json.dumps(stored).encode()
                if after != before:
                    os.lseek(handle, 0, os.SEEK_SET)
                    if os.write(handle, after) < len(after):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._file))
                    # After the text: a file system may write a file out at once that was emptied.
                    os.ftruncate(handle, len(after))
            finally:
                os.close(handle)
