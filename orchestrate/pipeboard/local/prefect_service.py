"""Prefect on this machine: a server on loopback, a worker of processes, and what they need.

Each world has a server of its own, with its own database, port and worker, so that runs of the demo
and of somebody's account never lie side by side. What flows do is no affair of this file: they call
`pipeboard`, as cron does.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeboard.launch import is_private
from pipeboard.local.cluster import HOST
from pipeboard.local.daemon import Daemon, ServiceSpec
from pipeboard.local.processes import Recorded, children
from pipeboard.local.schedule import claim
from pipeboard.problems import ExitCode, Problem
from pipeboard.worlds import DEMO, IMPERSONAL, OWN, PERSONAL_PREFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from pipeboard.console import Console
    from pipeboard.paths import Paths

POOL = "local"
#: Prefect's own port, and its neighbour for the demo; another one where they are taken.
PORTS = {OWN: 4200, DEMO: 4201}
#: What flows may need a block for.
IN_BLOCKS = (
    *("PIPEDRIVE_API_TOKEN", "PIPEBOARD_DATABASE_URL", "PIPEBOARD_TRANSFORM_DATABASE_URL"),
    *("REDIS_URL", "GITHUB_PAT"),
)
SERVER_TIMEOUT_SECONDS, WORKER_TIMEOUT_SECONDS = 180.0, 60.0
#: Seconds that runs under way get to end gently; the supervisor needs 20, Prefect a few more.
GRACE = 45.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class PrefectService:
    """The Prefect of one world."""

    paths: Paths
    world: str

    # -- where things are ----------------------------------------------------------------------

    @property
    def home(self) -> Path:
        return self.paths.local / "prefect" / self.world

    @property
    def environment(self) -> Path:
        return self.paths.environment("prefect")

    @property
    def _program(self) -> Path:
        return self.environment / "bin" / "prefect"

    @property
    def server(self) -> Daemon:
        return Daemon("Prefect's server", self.home, self.home / "server.log", "server.json")

    @property
    def worker(self) -> Daemon:
        return Daemon("Prefect's worker", self.home, self.home / "worker.log", "worker.json")

    @property
    def password_file(self) -> Path:
        return self.home / "password"

    @property
    def auth(self) -> str | None:
        """Who may use the server: the demo's everybody here, the other who can read our files."""
        if self.world == DEMO:
            return None
        if not self.password_file.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            number = os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "w") as out:
                out.write(f"pipeboard:{secrets.token_urlsafe(18)}\n")
        return self.password_file.read_text().strip()

    # -- what runs -----------------------------------------------------------------------------

    @property
    def url(self) -> str | None:
        """The address of the running server, None if it does not run."""
        port = self.server.known_port()
        return f"http://{HOST}:{port}" if port else None

    @property
    def works(self) -> bool:
        """Whether a worker waits for runs."""
        return self.worker.is_running()

    def start(self, console: Console, given: Mapping[str, str]) -> str:
        """Make sure that server, pool, blocks, deployments and worker are there.

        Args:
            console: told what was done.
            given: the settings of the world; the worker's runs read them anew.

        Returns:
            The server's address.

        Raises:
            Problem: Prefect is not installed, does not start, or somebody else schedules.

        """
        if not self._program.exists():
            what = f"Prefect is not installed ({self._program})"
            remedy = "Run `python3 orchestrate/bootstrap.py prefect`"
            raise Problem(what, remedy, ExitCode.CONFIGURATION)
        self.home.mkdir(parents=True, exist_ok=True)
        # Before anything is started: a server without a worker would start no run.
        schedule = None if self.works else claim(self.paths, self.world, "Prefect")
        is_new = self.url is None
        try:
            url = self.url or self._start_server(console)
            self._register(console, url, given)
            if schedule is not None:
                self._start_worker(console, url, schedule)
        except BaseException:
            if is_new:
                self.server.stop(15.0)
            raise
        finally:
            if schedule is not None:
                os.close(schedule)
        return url

    def _start_server(self, console: Console) -> str:
        began = time.monotonic()
        port = self.server.port(PORTS[self.world])
        spec = ServiceSpec(
            [str(self._program), "server", "start", "--host", HOST, "--port", str(port)],
            self._environ(),
            is_ready=lambda: bool(self.ask("/health")),
            timeout_seconds=SERVER_TIMEOUT_SECONDS,
            cwd=self.paths.root,
        )
        self.server.start(
            spec, lambda seconds: console.progress("prefect", "the server starts", seconds)
        )
        url = f"http://{HOST}:{port}"
        console.note("prefect", f"server on {url} ({time.monotonic() - began:.1f} s)")
        return url

    def _start_worker(self, console: Console, url: str, schedule: int) -> None:
        """Start a worker; it holds the lock of the schedule as long as it runs."""
        began = time.monotonic()
        # The server remembers a worker of the same name that was killed.
        earlier = self._last_heartbeat()
        spec = ServiceSpec(
            [str(self._program), "worker", "start"]
            + ["--pool", POOL, "--type", "process", "--name", "this-machine"],
            self._environ(url),
            is_ready=lambda: self._last_heartbeat() not in (None, earlier),
            timeout_seconds=WORKER_TIMEOUT_SECONDS,
            cwd=self.paths.root,
            pass_fds=[schedule],
        )
        self.worker.start(
            spec, lambda seconds: console.progress("prefect", "the worker starts", seconds)
        )
        console.note("prefect", f"worker of pool {POOL} ({time.monotonic() - began:.1f} s)")

    def _last_heartbeat(self) -> str | None:
        found = self.ask(f"/work_pools/{POOL}/workers/filter", {}) or []
        return max((str(worker["last_heartbeat_time"]) for worker in found), default=None)

    def _register(self, console: Console, url: str, given: Mapping[str, str]) -> None:
        """Let the flows' own program make pool, blocks and deployments."""
        words = [str(self.environment / "bin" / "python")]
        words += [str(self.paths.root / "orchestrate" / "flows" / "register.py"), "--pool", POOL]
        environ = self._environ(url)
        if self.world == DEMO:
            words.append("--no-blocks")
        else:
            environ |= {name: given[name] for name in IN_BLOCKS if given.get(name)}
        began = time.monotonic()
        with subprocess.Popen(
            words,
            cwd=self.paths.root,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            said = []
            for line in process.stdout or ():
                said.append(line.rstrip())
                console.line(line.rstrip())
        if process.returncode:
            what = f"Prefect does not take the flows: {said[-1] if said else 'no reason given'}"
            known = {int(code) for code in ExitCode}
            code = process.returncode if process.returncode in known else ExitCode.FAILED
            raise Problem(what, f"See {self.server.log}", ExitCode(code))
        console.note("prefect", f"registered in {time.monotonic() - began:.1f} s")

    def _environ(self, url: str | None = None) -> dict[str, str]:
        """Return the environment of the server, or with a URL that of whoever talks to it.

        Nothing of another Prefect that somebody uses (a profile, a cloud) may get in here, and
        nothing of somebody's account into the server or the demo.
        """
        left_out = ("PREFECT_",) if url and self.world == OWN else PERSONAL_PREFIXES
        environ = {
            k: v
            for k, v in os.environ.items()
            if k in IMPERSONAL or not (k.startswith(left_out) or (url is None and is_private(k, v)))
        }
        environ |= {
            "PREFECT_HOME": str(self.home / "home"),
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), HOST))),
        }
        if url is None:
            database = self.home / "prefect.db"
            # Else the page would ask Prefect's own port, whatever ours is.
            environ["PREFECT_SERVER_UI_API_URL"] = "/api"
            environ["PREFECT_API_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{database}"
            if self.auth:
                environ["PREFECT_SERVER_API_AUTH_STRING"] = self.auth
            return environ
        if self.auth:
            environ["PREFECT_API_AUTH_STRING"] = self.auth
        return {
            **environ,
            "PREFECT_API_URL": f"{url}/api",
            "PREFECT_WORKER_QUERY_SECONDS": "3",
            "PIPEBOARD_FLOWS_WORLD": self.world,
        }

    # -- asking and ending ---------------------------------------------------------------------

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the server's API; None where it gives no good answer."""
        headers = {"Content-Type": "application/json"}
        if self.auth:
            headers["Authorization"] = f"Basic {b64encode(self.auth.encode()).decode()}"
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(f"{self.url}/api{path}", data, headers)
            with _direct.open(request, timeout=10) as response:
                return json.loads(response.read())
        except (OSError, ValueError):  # ValueError, too, if the server has ended: no URL
            return None

    def stop(self) -> bool:
        """End worker and server, and first the runs under way, gently. Return whether any was."""
        worker = self.worker.process
        if worker:
            # A worker that is told to end kills its runs.
            runs = [found for found in map(Recorded.of, children(worker.pid)) if found]
            for run in runs:
                run.ask_to_end()
            deadline = time.monotonic() + GRACE
            while any(run.is_running() for run in runs) and time.monotonic() < deadline:
                time.sleep(0.1)
        return any([self.worker.stop(15.0), self.server.stop(15.0)])
