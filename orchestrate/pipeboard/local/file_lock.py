"""Locks on files, with a limit to the wait and the name of the process that holds the lock."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeboard.errors import ExitCode, PipeboardError

#: The first start creates a database cluster, which can take minutes on a slow machine.
WAIT_SECONDS = 300.0
#: A longer wait is announced.
QUIET_SECONDS = 2.0


@contextmanager
def file_lock(path: Path, what: str, seconds: float | None = None) -> Iterator[None]:
    """Hold the lock of a file inside the block.

    Args:
        path: the file; it names who holds it.
        what: is done under the lock, for those who wait.
        seconds: to wait for it.

    Raises:
        PipeboardError: another process holds it all that time.

    """
    limit = WAIT_SECONDS if seconds is None else seconds
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait(descriptor, path, what, limit)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}: {what}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: Path, what: str, limit: float) -> None:
    began = time.monotonic()
    is_announced = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            waited = time.monotonic() - began
            owner = path.read_text(errors="replace").strip() or "another process"
            if waited >= limit:
                message = f"{what} waited {limit:.0f} s for {path}, which is held by {owner}"
                remedy = "End that process, or run again later"
                raise PipeboardError(message, remedy, ExitCode.UNAVAILABLE) from error
            if not is_announced and waited >= QUIET_SECONDS:
                is_announced = True
                sys.stderr.write(f"pipeboard: {what} waits up to {limit:.0f} s for {owner}\n")
        else:
            return
        time.sleep(0.1)
