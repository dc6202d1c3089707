"""The embedded PostgreSQL: TCP on loopback, no root, no system package, survives crashes."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import psycopg
from psycopg import sql

from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local.cluster import OWNER, Cluster, ClusterRecord
from pipeboard.local.file_lock import file_lock
from pipeboard.local.loopback import HOST, free_port, port_is_taken
from pipeboard.local.postgres_binaries import Binaries, Unprivileged, readable_copy
from pipeboard.local.processes import command_line

if TYPE_CHECKING:
    from collections.abc import Iterator

READER = "bi_read"
# Sized for a laptop. fsync stays on.
SETTINGS = {
    "listen_addresses": HOST,
    # No socket file: its path may be too long.
    "unix_socket_directories": "",
    "shared_buffers": "192MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    # There is no replication, so bulk loads into new tables need no log of each row.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Compilation costs more than it saves on small queries.
    "jit": "off",
    "max_connections": "60",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}


class Running(NamedTuple):
    """A server that runs: its process, and where it listens."""

    pid: int
    port: int


class EmbeddedPostgres:
    """One database cluster and its server.

    `state` is a private folder that remembers the cluster. As an ordinary user everything lies in
    it. As root, PostgreSQL must run as another user, who may not enter these folders: then
    programs and data lie under `roots_home`, on a short path.
    """

    def __init__(self, state: Path, roots_home: Path = Path("/var/lib/pipeboard")) -> None:
        self.state = state
        self.user = Unprivileged.needed()
        self.record = ClusterRecord(state, roots_home, self.user)

    # -- public

    def start(self, original: Binaries, *databases: str, fresh: bool = False) -> dict[str, str]:
        """Make sure the server runs and has these databases. Return the URL of each.

        With `fresh`, what the databases held is deleted first.
        """
        with self._only_one():
            cluster = self.record.load() or self.record.create(self._end)
            binaries = readable_copy(original, Path(cluster.home))
            if not cluster.data.exists():
                self._initialise(cluster, binaries)
            cluster = self._run(cluster, binaries)
            self._ensure_databases(cluster, databases, fresh)
            return {name: cluster.url(name) for name in databases}

    def stop(self) -> bool:
        """Stop the server, if it runs. Return whether it did."""
        with self._only_one():
            cluster = self.record.load()
            return cluster is not None and self._end(cluster)

    def urls(self, *databases: str) -> dict[str, str] | None:
        """Return the URL of each database if the server runs, else None."""
        cluster = self.record.load()
        running = self._running(cluster) if cluster else None
        if cluster is None or running is None:
            return None
        cluster = replace(cluster, port=running.port)
        return {name: cluster.url(name) for name in databases}

    def destroy(self) -> None:
        """Stop the server and delete everything it stored."""
        self.stop()
        cluster = self.record.load()
        if cluster:
            for path in (cluster.data, cluster.log.parent):
                shutil.rmtree(path, ignore_errors=True)
            if self.user:
                home = Path(cluster.home)
                for place in (home, cluster.orphan):
                    shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)

    # -- the server

    def _initialise(self, cluster: Cluster, binaries: Binaries) -> None:
        """Create the cluster beside its place and rename it: half a cluster never counts."""
        home = Path(cluster.home)
        unfinished, password = home / "data.unfinished", home / "password"
        shutil.rmtree(unfinished, ignore_errors=True)
        cluster.log.parent.mkdir(exist_ok=True)
        unfinished.mkdir(mode=0o700)
        password.unlink(missing_ok=True)
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(cluster.superuser_password)
        if self.user:
            for path in (unfinished, password, cluster.log.parent):
                os.chown(path, self.user.uid, self.user.gid)
        arguments = ["-D", str(unfinished), "-U", "postgres", "--pwfile", str(password)]
        arguments += ["--auth", "scram-sha-256", "--encoding", "UTF8"]
        try:
            for locale in locales(binaries.major):
                outcome = binaries.run("initdb", *arguments, *locale, user=self.user)
                if outcome.returncode == 0:
                    break
            else:
                self._fail("could not be initialised", outcome.stderr)
        finally:
            password.unlink(missing_ok=True)
        unfinished.rename(cluster.data)

    def _run(self, cluster: Cluster, binaries: Binaries) -> Cluster:
        """Start the server unless it runs; on another port if its own is taken."""
        for _ in range(5):
            running = self._running(cluster)
            if running is None:
                self._forget_dead_server(cluster)
                if port_is_taken(cluster.port):
                    cluster = replace(cluster, port=free_port())
                options = " ".join(
                    f"-c {name}='{value}'"
                    for name, value in {**SETTINGS, "port": str(cluster.port)}.items()
                )
                log = cluster.log
                if log.exists() and log.stat().st_size > 10_000_000:
                    log.replace(log.with_suffix(".old.log"))
                outcome = binaries.run(
                    *("pg_ctl", "-D", str(cluster.data), "-w", "-t", "120"),
                    *("-l", str(log), "-o", options, "start"),
                    user=self.user,
                )
                running = self._running(cluster)
            if running and self._is_ready(replace(cluster, port=running.port)):
                cluster = replace(cluster, port=running.port)
                self.record.save(cluster)
                return cluster
        lines = cluster.log.read_text().splitlines() if cluster.log.exists() else []
        self._fail("does not start", "\n".join(lines[-5:]) or outcome.stderr)

    def _running(self, cluster: Cluster) -> Running | None:
        """Return our server if it runs.

        A number in postmaster.pid proves nothing after a crash or a reboot: another process may
        have it by now.
        """
        try:
            lines = (cluster.data / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (OSError, ValueError, IndexError):
            return None
        command = command_line(pid)
        is_own = "postgres" in command and str(cluster.data) in command
        return Running(pid, port) if is_own else None

    def _end(self, cluster: Cluster) -> bool:
        """Shut the server down: fast, and if that takes long, at once. Return whether it ran."""
        running = self._running(cluster)
        if running is None:
            return False
        for shutdown in (signal.SIGINT, signal.SIGQUIT):
            os.kill(running.pid, shutdown)
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                if self._running(cluster) != running:
                    return True
                time.sleep(0.05)
        return True

    def _forget_dead_server(self, cluster: Cluster) -> None:
        """Remove the postmaster.pid of a server that is gone; PostgreSQL might trust it."""
        (cluster.data / "postmaster.pid").unlink(missing_ok=True)

    def _is_ready(self, cluster: Cluster) -> bool:
        """Wait until the server accepts connections; False if it ended instead."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self._running(cluster):
            try:
                self._connect(cluster).close()
            except psycopg.OperationalError:
                time.sleep(0.1)
            else:
                return True
        return False

    def _connect(self, cluster: Cluster) -> psycopg.Connection:
        return psycopg.connect(
            host=HOST,
            port=cluster.port,
            user="postgres",
            password=cluster.superuser_password,
            dbname="postgres",
            autocommit=True,
            connect_timeout=10,
        )

    def _ensure_databases(self, cluster: Cluster, names: tuple[str, ...], fresh: bool) -> None:
        """Create the databases, their owner (no superuser) and a role that may only read."""
        with self._connect(cluster) as connection:
            if not connection.execute(
                "select 1 from pg_roles where rolname = %s", [OWNER]
            ).fetchone():
                connection.execute(
                    sql.SQL("create role {} login password {}").format(
                        sql.Identifier(OWNER), sql.Literal(cluster.password)
                    )
                )
            # dbt grants this role its rights, but may not create it.
            if not connection.execute(
                "select 1 from pg_roles where rolname = %s", [READER]
            ).fetchone():
                connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(READER)))
            for name in names:
                if fresh:
                    connection.execute(
                        sql.SQL("drop database if exists {} with (force)").format(
                            sql.Identifier(name)
                        )
                    )
                known = connection.execute(
                    "select 1 from pg_database where datname = %s", [name]
                ).fetchone()
                if not known:
                    connection.execute(
                        sql.SQL("create database {} owner {}").format(
                            sql.Identifier(name), sql.Identifier(OWNER)
                        )
                    )

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """Hold a lock, so that two commands start one server, not two."""
        with file_lock(self.state / "lock", "the embedded PostgreSQL"):
            yield

    def _fail(self, what: str, reason: str) -> NoReturn:
        message = f"the embedded PostgreSQL {what}: {reason.strip() or 'it gave no reason'}"
        remedy = "See its log, or name another database in PIPEBOARD_DATABASE_URL"
        raise PipeboardError(message, remedy, ExitCode.UNAVAILABLE)


def locales(major: int) -> list[list[str]]:
    """Return initdb's options to try: sorting by code point everywhere, letters of all languages.

    From 17 on PostgreSQL knows this locale itself; before, the system's C library must have it.
    """
    plain = ["--locale", "C"]
    if major >= 17:
        return [[*plain, "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]]
    return [["--locale", "C.UTF-8"], plain]
