"""The project with parts that can fail: an account that can hang, a PostgreSQL of its own, a
Pushgateway; and runs that can be inspected and killed while they run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from conftest import COMMANDS, ROOT, Checkout, Run, truth
from prometheus_client.parser import text_string_to_metric_families

from pipeboard.local import embedded_postgres
from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.loopback import free_port
from pipeboard.local.postgres_binaries import Binaries
from pipeboard.local.services import Services
from pipeboard.local.simulator import Account, Simulator

# Without a power cut, written data survives every kill of a process even without fsync.
embedded_postgres.SETTINGS["fsync"] = "off"
GATEWAY = Path("/usr/bin/prometheus-pushgateway")
DATABASE = "site"
#: Where dbt writes, below the local state.
TARGET = Path("dbt", "dev", "target")
T = TypeVar("T")
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def until(what: str, look: Callable[[], T], seconds: float = 60) -> T:
    """Wait until `look` returns a true value, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    message = f"{what}: not within {seconds} s"
    raise AssertionError(message)


@dataclass
class Site:
    """One account and the database it is synced to."""

    checkout: Checkout
    simulator: Simulator
    server: EmbeddedPostgres
    binaries: Binaries
    gateway: str | None
    given: dict[str, str] = field(default_factory=dict)
    database: str = DATABASE

    @property
    def url(self) -> str:
        urls = self.server.urls(self.database)
        assert urls is not None, "the PostgreSQL of the site does not run"
        return urls[self.database]

    def use_new_database(self, name: str) -> None:
        """Sync into another database from now on, which begins empty and without a state."""
        self.server.start(self.binaries, name, fresh=True)
        self.database = name

    @property
    def environ(self) -> dict[str, str]:
        ready = self.simulator.ready()
        assert ready is not None
        cluster = self.server.record.load()
        assert cluster is not None
        return {
            "PIPEDRIVE_API_TOKEN": ready["token"],
            "PIPEDRIVE_API_URL": ready["url"],
            "PIPEBOARD_DATABASE_URL": cluster.url(self.database),
            **({"PUSHGATEWAY_URL": self.gateway} if self.gateway else {}),
            **self.given,
        }

    def run(self, *arguments: str, **environ: str) -> Run:
        return self.checkout.run(*arguments, **{**self.environ, **environ})

    def start(self, *arguments: str, **environ: str) -> Live:
        """Start a run in the background."""
        process = subprocess.Popen(
            [str(COMMANDS / "pipeboard"), *arguments],
            cwd=ROOT,
            env=self.checkout.environ({**self.environ, **environ}),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return Live(process)

    @contextmanager
    def building(self, table: str = "pipedrive.deals") -> Iterator[tuple[Live, dict[str, int]]]:
        """Start a sync; within the block, dbt waits in the middle of its build for a table."""
        live = self.start("run", "sync")
        of_dbt = "select pid from pg_stat_activity where application_name = 'pipeboard-dbt'"
        until("a connection of dbt", lambda: self.query(of_dbt), 180)
        with psycopg.connect(self.url) as blocker:
            blocker.execute(f"lock table {table} in access exclusive mode".encode())
            until("dbt at a model", lambda: self.query(of_dbt + " and wait_event_type = 'Lock'"))
            yield live, live.parts()

    def query(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def history(self) -> list[tuple[Any, ...]]:
        """Return status, exit code and failed stage of each run, oldest first."""
        return self.query(
            "select status, exit_code, failed_stage from ops.etl_run order by started_at"
        )

    def control(self, action: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        ready = self.simulator.ready()
        assert ready is not None
        request = urllib.request.Request(
            f"{ready['url']}/_control/{action}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with _direct.open(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    @contextmanager
    def slow(self, kind: str = "slow_body", after: int = 20) -> Iterator[None]:
        """Delay the change logs after the first `after` ones, until the block ends."""
        rule = {"kind": kind, "operation": "getDealChangelog", "after": after}
        self.control("faults", {**rule, **({"seconds": 3} if kind == "slow_body" else {})})
        try:
            yield
        finally:
            self.control("faults", method="DELETE")

    def is_slow(self) -> bool:
        """Whether a run has reached the delayed requests."""
        return any(rule["fired"] for rule in self.control("faults", method="GET"))

    def metrics(self, pipeline: str) -> dict[str, dict[tuple[str, ...], float]]:
        """Return what the Pushgateway shows of a pipeline: {name: {label values: value}}."""
        with _direct.open(f"{self.gateway}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.labels.get("pipeline") == pipeline:
                    rest = {
                        k: v
                        for k, v in sample.labels.items()
                        if k not in ("pipeline", "job", "instance")
                    }
                    found.setdefault(sample.name, {})[tuple(rest.values())] = sample.value
        return found


@dataclass
class Live:
    """A run in the background."""

    process: subprocess.Popen[str]

    def parts(self) -> dict[str, int]:
        """Return the process numbers of its parts: watchdog, meltano, tap, loader, later dbt."""
        listed = subprocess.run(
            ["ps", "-ww", "-eo", "pid=,ppid=,stat=,args="],
            text=True,
            capture_output=True,
            check=True,
        ).stdout
        rows = [re.match(r"\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)", line) for line in listed.splitlines()]
        known = [(int(r[1]), int(r[2]), r[4]) for r in rows if r and not r[3].startswith("Z")]
        found: dict[str, int] = {}
        parents = {self.process.pid}
        for name, word in (("watchdog", "watchdog.py"), ("meltano", "/run/meltano.py ")):
            children = [
                pid for pid, parent, command in known if parent in parents and word in command
            ]
            if children:
                found[name] = children[0]
            parents = set(children)
        for pid, parent, command in known:
            if parent in parents:
                for name in ("tap-pipedrive", "target-postgres", "dbt"):
                    marks = (f"bin/{name} ", f"bin/pipeboard-{name}", f"/{name}_of_sync.py")
                    if any(mark in f"{command} " for mark in marks):
                        found[name] = pid
        return found

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal to the supervisor and wait for its end."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self, seconds: float = 90) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, out


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@contextmanager
def pushgateway(memory: Path) -> Iterator[str | None]:
    """Start a real Pushgateway; yield None if it is not installed.

    Debian's package stores metrics for the whole machine unless another file is given.
    """
    if not GATEWAY.exists():
        yield None
        return
    port = free_port()
    process = subprocess.Popen(
        [str(GATEWAY), f"--web.listen-address=127.0.0.1:{port}", f"--persistence.file={memory}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            with _direct.open(f"{url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        until("a Pushgateway", ready, 20)
        yield url
    finally:
        process.terminate()
        process.wait()


@contextmanager
def make_site(server: EmbeddedPostgres, folder: Path, deals: int = 120) -> Iterator[Site]:
    """Make a site in a folder, and take it away.

    What dbt parsed and compiled is kept for the next site, whose database has the same name.
    """
    checkout = Checkout(folder / "state")
    target, parsed = checkout.state / TARGET, server.state.with_name("parsed by dbt")
    if parsed.exists():
        shutil.copytree(parsed, target, ignore=shutil.ignore_patterns("run_results.json"))
    # A token that no other file has: a test can look for it among all files.
    command = folder / "pipedrive-simulator"
    program = COMMANDS / "pipedrive-simulator"
    command.write_text(f'#!/bin/sh\nexec "{program}" "$@" --token {secrets.token_hex(20)}\n')
    command.chmod(0o700)
    simulator = Simulator(folder / "account", command)
    simulator.start(Account(deals=deals, seed=11))
    binaries = Services(checkout.services.paths).binaries()
    server.start(binaries, DATABASE, fresh=True)
    with pushgateway(folder / "metrics") as gateway:
        yield Site(checkout, simulator, server, binaries, gateway)
    simulator.stop()
    if target.exists():
        shutil.rmtree(parsed, ignore_errors=True)
        target.rename(parsed)


def kill_server(server: EmbeddedPostgres) -> None:
    """Kill a PostgreSQL and all its sessions, as a power cut would."""
    cluster = server.record.load()
    assert cluster is not None
    postmaster = int((cluster.data / "postmaster.pid").read_text().splitlines()[0])
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(postmaster)], text=True, capture_output=True, check=False
    ).stdout.split()
    for pid in (postmaster, *map(int, children)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until("the end of PostgreSQL", lambda: not alive(postmaster), 10)


def deals_of_account(site: Site) -> set[tuple[Any, ...]]:
    """Return id, status, stage, whether archived and value of each deal that is there."""
    return {
        (deal["id"], deal["status"], deal["stage_id"], deal["is_archived"], deal["value"])
        for deal in truth(site.simulator, "deals")
        if not deal["_purged"] and not deal["is_deleted"]
    }


def deals_of_marts(site: Site) -> set[tuple[Any, ...]]:
    """Return the same of the deals in the marts."""
    return set(
        site.query(
            "select deal_id, status, stage_id, is_archived, value::float from marts.fct_deal "
            "where not is_deleted"
        )
    )
