"""What the figures were measured on. No host name and no path: a result is made to be shared."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

import psutil


def describe(postgres: str) -> dict[str, str | int | float]:
    """Describe this machine; `postgres` is what the server says of its version."""
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgres": postgres,
    }


def cpu_model() -> str:
    """Return the processor's name as the kernel knows it."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def commit(root: Path) -> str:
    """Return the commit that is measured; `-dirty` if the working tree says something else."""
    argv = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    outcome = subprocess.run(argv, cwd=root, text=True, capture_output=True, check=False)
    return outcome.stdout.strip() or "unknown"
