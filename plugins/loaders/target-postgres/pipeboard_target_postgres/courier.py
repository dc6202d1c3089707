"""Batches and state in step: one batch loads in the background while the next is read."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from pipeboard_target_postgres.loader import Loader
from pipeboard_target_postgres.stream import Batch


class Source(t.Protocol):
    """Something that has records waiting: a sink."""

    def take(self) -> Batch | None:
        """Hand over what is waiting."""


class Courier:
    """Takes what all sinks have waiting, and lets the state out when it is committed.

    All sinks are emptied together, so that whatever state came last is true once their batches
    are in. At most one such load is under way: memory holds two sets of batches, never more.

    Args:
        loader: loads.
        sources: returns the sinks.
        write: writes a state's JSON text.
        max_bytes: size of waiting messages at which to load.
        max_seconds: age of the oldest waiting message at which to load.
    """

    def __init__(
        self,
        loader: Loader,
        sources: Callable[[], Iterable[Source]],
        write: Callable[[bytes], None],
        max_bytes: int,
        max_seconds: float,
    ) -> None:
        self._loader, self._sources, self._write = loader, sources, write
        self._max_bytes, self._max_seconds = max_bytes, max_seconds
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._job: Future[None] | None = None
        self._state: bytes | None = None
        self._bytes = 0
        self._since: float | None = None

    def add(self, size: int) -> None:
        """Note that a message of that many bytes is waiting."""
        self._bytes += size
        if self._since is None:
            self._since = time.monotonic()

    def state(self, value: bytes) -> None:
        """Keep a state until all records before it are committed."""
        self._state = value

    def wait_seconds(self) -> float | None:
        """How long input may be awaited before `tick` has something to do; None: for ever."""
        if self._job is not None:
            return 0.05 if self._state is not None and self._since is None else 1.0
        if self._since is not None:
            return max(0.0, self._since + self._max_seconds - time.monotonic())
        return 0.0 if self._state is not None else None

    def tick(self) -> None:
        """Load what is large or old enough, and let out a state that waits for nothing."""
        if self._job is not None and self._job.done():
            self.join()
        if self._since is not None:
            age = time.monotonic() - self._since
            if self._bytes >= self._max_bytes or age >= self._max_seconds:
                self.flush()
        elif self._state is not None and self._job is None:
            self.flush()

    def flush(self, wait: bool = False, final: bool = False) -> None:
        """Start loading everything that is waiting, after the load under way has ended.

        Args:
            wait: return only when it is committed.
            final: True at the end of the input.

        Raises:
            Exception: whatever the load under way, or with `wait` this one, failed with.
        """
        self.join()
        batches = [b for source in self._sources() if (b := source.take()) is not None]
        state, self._state = self._state, None
        self._bytes, self._since = 0, None
        if not batches and state is None and not final:
            return
        write = None if state is None else lambda: self._write(state)
        self._job = self._executor.submit(self._loader.run, batches, write, final)
        if wait:
            self.join()

    def join(self) -> None:
        """Wait for the load under way; raise what it failed with."""
        job, self._job = self._job, None
        if job is not None:
            job.result()

    def close(self) -> None:
        """End the thread and the session."""
        self._executor.shutdown(wait=True)
        self._loader.close()
