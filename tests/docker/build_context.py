"""The files that a builder of the image gets, by .dockerignore."""

from __future__ import annotations

import fnmatch
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def sent_to_the_builder() -> list[str]:
    """Name the files that .dockerignore lets through: the last pattern that fits decides."""
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    )
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    return [
        name
        for name in tracked.stdout.splitlines()
        if (ROOT / name).is_file() and not is_ignored(name, patterns)
    ]


def is_ignored(name: str, patterns: list[str]) -> bool:
    parts = name.split("/")
    ancestors = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!").rstrip("/")
        if wanted.startswith("**/"):
            fits = any(fnmatch.fnmatchcase(part, wanted[3:]) for part in parts)
        else:
            fits = any(fnmatch.fnmatchcase(path, wanted) for path in ancestors)
        if fits:
            ignored = not pattern.startswith("!")
    return ignored
