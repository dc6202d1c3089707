"""Loads batches in the background, and writes the state after the commit.

One batch loads while the next is read.
"""

from __future__ import annotations

import logging
import time
import typing as t
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from pipeboard_target_postgres.errors import UnavailableError
from pipeboard_target_postgres.loader import Loader
from pipeboard_target_postgres.stream import Batch, UnsentRecords
from pipeboard_target_postgres.termination import STOP, Stopped

#: After a signal: time to load the records already read, then time for a cancelled load to end.
STOP_SECONDS = 8.0
CANCEL_SECONDS = 4.0
#: A load that lasts longer is cancelled; every `LOG_SECONDS` the log says that it still runs.
LOAD_SECONDS = 3600.0
LOG_SECONDS = 60.0
_POLL_SECONDS = 0.1


class StuckError(Exception):
    """A load does not end although it was cancelled; the process must exit."""


class Source(t.Protocol):
    """A sink: it holds records until they are loaded."""

    def take(self) -> Batch | UnsentRecords | None:
        """Return the waiting records as a batch, and forget them; None if there are none."""


class BatchDispatcher:
    """Loads the waiting records of all sinks, and writes the state after their commit.

    All sinks are emptied together, so that the last state is true once their batches are
    committed. At most one load runs: memory holds two sets of batches, never more.
    All database work runs on the one thread of this class. The main thread waits in short steps,
    so that it can react to a signal. After a failure on that thread, no further work starts there.

    Args:
        loader: loads the batches.
        sources: returns the sinks.
        write: writes a state's JSON text.
        max_bytes: load when the waiting messages have this size.
        max_seconds: load when the oldest waiting message has this age.
        logger: logs loads that last long.
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
        """How long the reader may wait for input before it must call `tick`; None: no limit."""
        if self._job is not None:
            return 0.05 if self._state is not None and self._since is None else 1.0
        if self._since is not None:
            return max(0.0, self._since + self._max_seconds - time.monotonic())
        return 0.0 if self._state is not None else None

    def tick(self) -> None:
        """Load if enough records wait, or long enough; write a state that needs no load.

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
        """Wait for the running load, then start to load all waiting records.

        Args:
            wait: return only after the commit.
            final: True at the end of the input.

        Raises:
            Exception: the error of the running load, or with `wait` of this one.
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
        """Wait for the running load, then run other work that needs the database.

        Raises:
            Exception: the error of the running load, or of this work.
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
        """Wait for the running work; return its result, or raise its error.

        Raises:
            Stopped: a signal has come; the work goes on.
            UnavailableError: the work took longer than `LOAD_SECONDS`.
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
                return self._cancelled_result(now)
        return self._result()

    def _cancelled_result(self, now: float) -> t.Any:
        """Cancel the running work; return its result if it ends well all the same."""
        try:
            return self._end_by(now, now + CANCEL_SECONDS)
        except StuckError:
            raise
        except Exception as exc:
            # The error of a cancelled statement does not say that it was this process.
            raise UnavailableError(
                f"A load ran for {LOAD_SECONDS:.0f} s and was cancelled; nothing is "
                "lost, run again."
            ) from exc

    def _result(self) -> t.Any:
        """Return the result of the work that has ended; raise its error if it failed."""
        job, self._job, self._loading = self._job, None, False
        if job is None:
            return None
        self._failure = job.exception()
        return job.result()

    def stop(self, stopped: Stopped) -> None:
        """Load the records already read, within the time limits for a stop.

        Raises:
            Exception: the error of a load; no state that needs it was written.
            StuckError: a load does not end.
        """
        # Other work than a load, such as a wait for a lock, is cancelled if no record waits.
        idle = not self._loading and self._since is None
        cancel_at = stopped.at + (0 if idle else STOP_SECONDS)
        self._end_by(cancel_at, cancel_at + CANCEL_SECONDS)
        self._begin_load()
        self._end_by(cancel_at, cancel_at + CANCEL_SECONDS)

    def _end_by(self, cancel_at: float, give_up_at: float) -> t.Any:
        """Wait for the running work, cancel it at `cancel_at`, and return its result."""
        job = self._job
        while job is not None and not job.done():
            now = time.monotonic()
            if now >= give_up_at:
                raise StuckError
            if now < cancel_at:
                wait([job], timeout=cancel_at - now)
            else:
                # Repeatedly: between two statements a cancel has no effect.
                self._loader.cancel()
                wait([job], timeout=0.5)
        return self._result()

    def close(self) -> None:
        """End the thread and the session; no work may be running."""
        if self._executor is not None:
            self._executor.shutdown(wait=self._job is None)
            self._executor = None
        if self._job is None:
            self._loader.close()
