"""Time that passes only when the program waits: a story of days plays in seconds."""

from __future__ import annotations

import random
import time as real_time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import backoff._sync

from tap_pipedrive.api import auth, client
from tap_pipedrive.api.limits import governor, store
from tap_pipedrive.streams import base

#: The modules of the tap that read a clock or wait.
MODULES = (auth, base, client, governor, store)


class VirtualTime:
    """Stands in for the module `time`: a wait moves the clock of the account, and takes no time.

    `move` is told how many whole seconds have passed.

    Attributes:
        error: seconds by which the clock of the machine is wrong; the source's is always right.

    """

    def __init__(self, now: float, move: Callable[[int], None]) -> None:
        self._now, self._move, self._rest, self.error = now, move, 0.0, 0

    def time(self) -> float:
        """Return seconds since 1970."""
        return self._now + self.error

    def time_ns(self) -> int:
        """Return nanoseconds since 1970."""
        return int(self.time() * 1e9)

    def monotonic(self) -> float:
        """Return seconds that never move back."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let time pass, for the account too."""
        self._now += seconds
        self._rest += seconds
        whole = int(self._rest)
        self._rest -= whole
        if whole:
            self._move(whole)

    def __getattr__(self, name: str) -> Any:
        return getattr(real_time, name)


@contextmanager
def in_virtual_time(clock: VirtualTime, seed: int) -> Iterator[None]:
    """Let the tap live in that time, with the same random waits for the same seed."""
    before = random.getstate()
    random.seed(seed)
    patches = [mock.patch.object(module, "time", clock) for module in MODULES]
    patches.append(mock.patch.object(backoff._sync, "time", clock))
    try:
        for patch in patches:
            patch.start()
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()
        random.setstate(before)
