"""Tracked processes: found again after a reboot, never mistaken for another with their number."""

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
class TrackedProcess:
    """One process that we started: its number, and the time it was created."""

    pid: int
    create_time: str

    @classmethod
    def of(cls, pid: int) -> TrackedProcess | None:
        """Track a running process; None if there is none."""
        created = create_time(pid)
        return cls(pid, created) if created else None

    @classmethod
    def load(cls, path: Path) -> TrackedProcess | None:
        """Read a record; None if there is none or it is not readable."""
        try:
            found = json.loads(path.read_text())
            # Older releases wrote "born".
            return cls(found["pid"], found.get("create_time") or found["born"])
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None

    def save(self, path: Path) -> None:
        """Write the record."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)))

    def is_running(self) -> bool:
        """Tell whether this process still runs, not another one with its number."""
        return create_time(self.pid) == self.create_time

    def terminate(self) -> None:
        """Send SIGTERM to this process, and do not wait."""
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def end(self, timeout_seconds: float = 10.0) -> bool:
        """Send SIGTERM, and SIGKILL after the timeout. Return whether the process ran."""
        if not self.is_running():
            return False
        for number, wait in ((signal.SIGTERM, timeout_seconds), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            deadline = time.monotonic() + wait
            while time.monotonic() < deadline:
                if not self.is_running():
                    return True
                time.sleep(0.05)
        return True


def create_time(pid: int) -> str | None:
    """Return when a process was created, as a text that no other process shares.

    On Linux that is clock ticks since the boot, with the id of the boot. psutil would give a time
    of day, which changes when the clock is set: a daemon would then be lost.

    Returns:
        None if the process does not run.

    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():  # pragma: no branch: macOS has no /proc
        try:
            # The second field is the name in brackets and may contain anything.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        if fields[0] in ("Z", "X"):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id")
        return f"{boot.read_text().strip() if boot.exists() else ''}:{fields[19]}"
    # There ps knows the time to the second.
    return _ps(pid, "lstart=")  # pragma: no cover: macOS has no /proc


def children(pid: int) -> list[int]:
    """Return the numbers of the running processes that a process started."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], text=True, capture_output=True, check=False
    ).stdout
    pairs = (line.split() for line in listed.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def command_line(pid: int) -> str:
    """Return the command line of a process, empty if it does not run or may not be read."""
    if Path("/proc/self/cmdline").exists():  # pragma: no branch: macOS has no /proc
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            return ""
    return _ps(pid, "command=") or ""  # pragma: no cover: macOS has no /proc


def _ps(pid: int, column: str) -> str | None:  # pragma: no cover: macOS has no /proc
    outcome = subprocess.run(
        ["ps", "-o", column, "-p", str(pid)], text=True, capture_output=True, check=False
    )
    return outcome.stdout.strip() or None
