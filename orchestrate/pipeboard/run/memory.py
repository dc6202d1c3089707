"""Memory that a run uses, and its limit, from the control group of its container.

It is sampled while the run lives. The kernel's own peak is that of the container since its start,
with the cache of every file that was read; a container of Compose lives for weeks.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
#: The value of version 1 for a group without a limit.
UNLIMITED = 2**60


@dataclass
class Memory:
    """The memory of everything in this container; without a limit, of the run's programs."""

    root: Path = CGROUP
    peak: int = 0
    _oom_kills_before: int = 0

    def __post_init__(self) -> None:
        """Remember how often the kernel killed something before this run."""
        self._oom_kills_before = self._oom_kills()

    @property
    def limit(self) -> int:
        """Bytes that the container may use; 0 where nothing limits it."""
        for name in ("memory.max", "memory/memory.limit_in_bytes"):
            found = self._number(name)
            if found is not None:
                return found if found < UNLIMITED else 0
        return 0

    def measure(self) -> None:
        """Measure the memory in use, without the file cache."""
        for used, stat, dropped in (
            ("memory.current", "memory.stat", "inactive_file"),
            ("memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
        ):
            found = self._number(used)
            if found is not None:
                self.peak = max(self.peak, found - (self._field(stat, dropped) or 0))
                return

    @property
    def peak_bytes(self) -> int:
        """The most that was used: of the container if it is limited, else by one program."""
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        largest *= 1 if sys.platform == "darwin" else 1024
        return max(self.peak, largest) if self.limit else largest

    @property
    def oom_kills(self) -> int:
        """How many processes the kernel killed for lack of memory since this run began."""
        return max(self._oom_kills() - self._oom_kills_before, 0)

    def _oom_kills(self) -> int:
        for name in ("memory.events", "memory/memory.oom_control"):
            found = self._field(name, "oom_kill")
            if found is not None:
                return found
        return 0

    def _number(self, name: str) -> int | None:
        try:
            return int((self.root / name).read_text())
        except (OSError, ValueError):  # "max", for one
            return None

    def _field(self, name: str, field: str) -> int | None:
        try:
            lines = (self.root / name).read_text().splitlines()
            pairs = dict(line.split(maxsplit=1) for line in lines)
            return int(pairs[field])
        except (OSError, ValueError, KeyError):
            return None
