"""Background processes, remembered in a way that survives reboots and reused process numbers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recorded:
    """One process that we started: its number, and when it was born."""

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> Recorded | None:
        """Record a running process; None if there is none."""
        born = birth(pid)
        return cls(pid, born) if born else None

    @classmethod
    def load(cls, path: Path) -> Recorded | None:
        """Read a record; None if there is none or it is not readable."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, path: Path) -> None:
        """Write the record."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)))

    def is_running(self) -> bool:
        """Tell whether exactly this process still runs, not another one with its number."""
        return birth(self.pid) == self.born

    def ask_to_end(self) -> None:
        """Send SIGTERM to exactly this process, and do not wait."""
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def end(self, patience: float = 10.0) -> bool:
        """End exactly this process, gently first. Return whether there was one to end."""
        if not self.is_running():
            return False
        for sent, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sent)
            deadline = time.monotonic() + wait
            while time.monotonic() < deadline:
                if not self.is_running():
                    return True
                time.sleep(0.05)
        return True


def birth(pid: int) -> str | None:
    """Return a text that no other process on this machine shares, or None if it does not run."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The second field is the name in brackets and may contain anything.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        if fields[0] in ("Z", "X"):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id")
        return f"{boot.read_text().strip() if boot.exists() else ''}:{fields[19]}"
    # No /proc (macOS): ps knows when a process began, to the second.
    return _ps(pid, "lstart=")


def children(pid: int) -> list[int]:
    """Return the numbers of the processes that a process started and that still run."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], text=True, capture_output=True, check=False
    ).stdout
    pairs = (line.split() for line in listed.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def command_line(pid: int) -> str:
    """Return the command line of a process, empty if it does not run or may not be read."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            return ""
    return _ps(pid, "command=") or ""


def _ps(pid: int, column: str) -> str | None:
    outcome = subprocess.run(
        ["ps", "-o", column, "-p", str(pid)], text=True, capture_output=True, check=False
    )
    return outcome.stdout.strip() or None
