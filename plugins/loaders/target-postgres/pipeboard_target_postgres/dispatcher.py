"""Batches and state in step: one batch loads in the background while the next is read."""

from __future__ import annotations

import logging
import time
import typing as t
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from pipeboard_target_postgres.errors import UnavailableError
from pipeboard_target_postgres.loader import Loader
from pipeboard_target_postgres.stream import Batch, SetAside
from pipeboard_target_postgres.termination import STOP, Stopped

#: After a signal: time for what has been read to load, then for a cancelled load to end.
STOP_SECONDS = 8.0
CANCEL_SECONDS = 4.0
#: A load that lasts longer is cancelled; the log says every so often that it is under way.
LOAD_SECONDS = 3600.0
LOG_SECONDS = 60.0
_POLL_SECONDS = 0.1


class StuckError(Exception):
    """A load does not end, although it was cancelled: only the end of the process ends it."""


class Source(t.Protocol):
    """Something that has records waiting: a sink."""

    def take(self) -> Batch | SetAside | None:
        """Hand over what is waiting."""


class BatchDispatcher:
    """Takes what all sinks have waiting, and lets the state out when it is committed.

    All sinks are emptied together, so that whatever state came last is true once their batches
    are in. At most one such load is under way: memory holds two sets of batches, never more.
    Whatever talks to the database does so on the one thread of this class; the main thread waits,
    in steps, so that a signal finds it awake. Once something has failed on that thread, nothing
    else is begun there.

    Args:
        loader: loads.
        sources: returns the sinks.
        write: writes a state's JSON text.
        max_bytes: size of waiting messages at which to load.
        max_seconds: age of the oldest waiting message at which to load.
        logger: told of a load that lasts.
    """

    def __init__(
        self,
        loader: Loader,
        sources: Callable[[], Iterable[Source]],
        write: Callable[[bytes], None],
        max_bytes: int,
        max_seconds: float,
        logger: logging.Logger,
    ) -> None:
        self._loader, self._sources, self._write = loader, sources, write
        self._max_bytes, self._max_seconds = max_bytes, max_seconds
        self._logger = logger
        self._executor: ThreadPoolExecutor | None = None
        self._job: Future[t.Any] | None = None
        self._loading = False
        self._failure: BaseException | None = None
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
        """Load what is large or old enough, and let out a state that waits for nothing.

        Raises:
            Stopped: a signal has come.
        """
        STOP.check()
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
            Stopped: a signal has come.
        """
        self.join()
        self._begin_load(final)
        if wait:
            self.join()

    def _begin_load(self, final: bool = False) -> None:
        batches = [b for source in self._sources() if (b := source.take()) is not None]
        state, self._state = self._state, None
        self._bytes, self._since = 0, None
        if not batches and state is None and not final:
            return
        write = None if state is None else lambda: self._write(state)
        self._submit(lambda: self._loader.run(batches, write, final), loading=True)

    def call(self, work: Callable[[], t.Any]) -> t.Any:
        """Run something else that needs the database, after the load under way has ended.

        Raises:
            Exception: whatever the load under way, or this, failed with.
            Stopped: a signal has come.
        """
        self.join()
        self._submit(work)
        return self.join()

    def _submit(self, work: Callable[[], t.Any], loading: bool = False) -> None:
        if self._failure is not None:
            raise self._failure
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._loading = loading
        self._job = self._executor.submit(work)

    def join(self) -> t.Any:
        """Wait for what is under way; return its result, or raise what it failed with.

        Raises:
            Stopped: a signal has come; what is under way goes on.
            UnavailableError: it lasts too long.
        """
        began = logged = time.monotonic()
        while (job := self._job) is not None and not job.done():
            STOP.check()
            wait([job], timeout=_POLL_SECONDS)
            now = time.monotonic()
            if now - logged >= LOG_SECONDS:
                logged = now
                self._logger.info(
                    "Waiting for the database since %.0f s; the load is cancelled after %.0f s.",
                    now - began,
                    LOAD_SECONDS,
                )
            if now - began >= LOAD_SECONDS:
                self._end_by(now, now + CANCEL_SECONDS)
                raise UnavailableError(
                    f"A load was under way for {LOAD_SECONDS:.0f} s and was cancelled; nothing is "
                    "lost, run again."
                )
        return self._result()

    def _result(self) -> t.Any:
        """Read the result of what has ended: a failure is never passed over."""
        job, self._job, self._loading = self._job, None, False
        if job is None:
            return None
        self._failure = job.exception()
        return job.result()

    def stop(self, stopped: Stopped) -> None:
        """Load what has been read, in the time that a signal leaves.

        Raises:
            Exception: what a load failed with; no state has gone out that needs it.
            StuckError: a load does not end.
        """
        # What is no load, such as a wait for a lock, need not end if no record waits for it.
        idle = not self._loading and self._since is None
        cancel_at = stopped.at + (0 if idle else STOP_SECONDS)
        self._end_by(cancel_at, cancel_at + CANCEL_SECONDS)
        self._begin_load()
        self._end_by(cancel_at, cancel_at + CANCEL_SECONDS)

    def _end_by(self, cancel_at: float, give_up_at: float) -> None:
        """Wait for what is under way; cancel it when its time is over."""
        job = self._job
        while job is not None and not job.done():
            now = time.monotonic()
            if now >= give_up_at:
                raise StuckError
            if now < cancel_at:
                wait([job], timeout=cancel_at - now)
            else:
                # Again and again: between two statements there is nothing to cancel.
                self._loader.cancel()
                wait([job], timeout=0.5)
        self._result()

    def close(self) -> None:
        """End the thread and the session; nothing may be under way."""
        if self._executor is not None:
            self._executor.shutdown(wait=self._job is None, cancel_futures=True)
            self._executor = None
        if self._job is None:
            self._loader.close()
