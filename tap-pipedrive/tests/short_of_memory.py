"""Takes the memory of the process in which it runs; for tests, in processes of their own.

The limit is the system's, on the address space of the process: a real allocation fails, wherever
the program makes the next one that is not small.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

#: Blocks of these sizes fill what the process has free. Smaller ones stay: to handle an error
#: needs some memory, and a program that asks for little notices the limit at once.
BLOCKS = (1 << 20, 1 << 16, 1 << 14)
_taken: list[bytearray] = []


def take_all_memory() -> None:
    """Let this process get no more memory than it has, and fill what it has free; once only."""
    if _taken:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    # No other thread runs meanwhile: what it frees, to report that it has no memory, is left to it.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), most))
    for size in BLOCKS:
        with contextlib.suppress(MemoryError):
            while True:
                _taken.append(bytearray(size))
    sys.setswitchinterval(interval)
