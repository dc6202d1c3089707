"""Prefect on this machine: a server on loopback and a worker that runs flows as processes.

Each environment has its own server, database, port and worker, so that runs of the demo and of a
real account are never in one list. The flows call `pipeboard`, as cron does.
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

from pipeboard.environments import DEMO, IMPERSONAL, OWN, PERSONAL_PREFIXES
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.launch import is_private
from pipeboard.local.daemon import Daemon, ServiceSpec
from pipeboard.local.loopback import HOST, opener
from pipeboard.local.processes import TrackedProcess, children
from pipeboard.local.schedule import claim

if TYPE_CHECKING:
    from pathlib import Path

    from pipeboard.console import Console
    from pipeboard.paths import Paths

POOL = "local"
#: Prefect's usual port, and the next one for the demo; if taken, another one.
PORTS = {OWN: 4200, DEMO: 4201}
#: Settings that may be stored in blocks.
IN_BLOCKS = (
    *("PIPEDRIVE_API_TOKEN", "PIPEBOARD_DATABASE_URL", "PIPEBOARD_TRANSFORM_DATABASE_URL"),
    *("REDIS_URL", "GITHUB_PAT"),
)
SERVER_TIMEOUT_SECONDS, WORKER_TIMEOUT_SECONDS = 180.0, 60.0
#: Running flows get this long to end after SIGTERM; the supervisor alone needs 20 seconds.
RUN_END_TIMEOUT_SECONDS = 45.0


@dataclass(frozen=True)
class PrefectService:
    """The Prefect of one environment."""

    paths: Paths
    kind: str

    # -- files ----------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The folder of its database, logs and records."""
        return self.paths.local / "prefect" / self.kind

    @property
    def environment(self) -> Path:
        """The virtual environment that has Prefect."""
        return self.paths.environment("prefect")

    @property
    def _program(self) -> Path:
        return self.environment / "bin" / "prefect"

    @property
    def server(self) -> Daemon:
        """The background program that serves the API."""
        return Daemon("Prefect's server", self.folder, self.folder / "server.log", "server.json")

    @property
    def worker(self) -> Daemon:
        """The background program that runs the flows."""
        return Daemon("Prefect's worker", self.folder, self.folder / "worker.log", "worker.json")

    @property
    def password_file(self) -> Path:
        """The file with the server's password, made at the first start."""
        return self.folder / "password"

    @property
    def auth(self) -> str | None:
        """User and password of the server; the demo has none."""
        if self.kind == DEMO:
            return None
        if not self.password_file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            number = os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "w") as out:
                out.write(f"pipeboard:{secrets.token_urlsafe(18)}\n")
        return self.password_file.read_text().strip()

    # -- programs -----------------------------------------------------------------------------

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
            console: gets a line for each step.
            given: the settings of the environment; the worker's runs read them anew.

        Returns:
            The server's address.

        Raises:
            PipeboardError: Prefect is not installed, does not start, or another program schedules.

        """
        if not self._program.exists():
            what = f"Prefect is not installed ({self._program})"
            remedy = "Run `python3 orchestrate/bootstrap.py prefect`"
            raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Before the server starts: without a worker it would start no run.
        schedule = None if self.works else claim(self.paths, self.kind, "Prefect")
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
        port = self.server.port(PORTS[self.kind])
        spec = ServiceSpec(
            [str(self._program), "server", "start", "--host", HOST, "--port", str(port)],
            self._environ(),
            is_ready=lambda: bool(self.call("/health")),
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
        found = self.call(f"/work_pools/{POOL}/workers/filter", {}) or []
        return max((str(worker["last_heartbeat_time"]) for worker in found), default=None)

    def _register(self, console: Console, url: str, given: Mapping[str, str]) -> None:
        """Run the program that creates pool, blocks and deployments."""
        command = [str(self.environment / "bin" / "python")]
        command += [str(self.paths.root / "orchestrate" / "flows" / "register.py"), "--pool", POOL]
        environ = self._environ(url)
        if self.kind == DEMO:
            command.append("--no-blocks")
        else:
            environ |= {name: given[name] for name in IN_BLOCKS if given.get(name)}
        began = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=self.paths.root,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            output = []
            for line in process.stdout or ():
                output.append(line.rstrip())
                console.line(line.rstrip())
        if process.returncode:
            what = (
                f"Prefect did not register the flows: {output[-1] if output else 'no reason given'}"
            )
            known = {int(code) for code in ExitCode}
            code = process.returncode if process.returncode in known else ExitCode.FAILED
            raise PipeboardError(what, f"See {self.server.log}", ExitCode(code))
        console.note("prefect", f"registered in {time.monotonic() - began:.1f} s")

    def _environ(self, url: str | None = None) -> dict[str, str]:
        """Return the variables of the server, or with a URL those of its clients.

        Leaves out those of any other Prefect of the user (a profile, a cloud); the server and the
        demo get nothing of the user's account either.
        """
        left_out = ("PREFECT_",) if url and self.kind == OWN else PERSONAL_PREFIXES
        environ = {
            k: v
            for k, v in os.environ.items()
            if k in IMPERSONAL or not (k.startswith(left_out) or (url is None and is_private(k, v)))
        }
        environ |= {
            "PREFECT_HOME": str(self.folder / "home"),
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), HOST))),
        }
        if url is None:
            database = self.folder / "prefect.db"
            # By default the page requests Prefect's usual port.
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
            "PIPEBOARD_FLOWS_WORLD": self.kind,
        }

    # -- calling and ending ---------------------------------------------------------------------

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call the API of the server; None if that fails."""
        headers = {"Content-Type": "application/json"}
        if self.auth:
            headers["Authorization"] = f"Basic {b64encode(self.auth.encode()).decode()}"
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(f"{self.url}/api{path}", data, headers)
            with opener.open(request, timeout=10) as response:
                return json.loads(response.read())
        except (OSError, ValueError):  # ValueError, too, if the server has ended: no URL
            return None

    def stop(self) -> bool:
        """End running flows (SIGTERM), worker and server. Return whether any ran."""
        worker = self.worker.process
        if worker:
            # A worker kills its runs when it gets SIGTERM.
            runs = [found for found in map(TrackedProcess.of, children(worker.pid)) if found]
            for run in runs:
                run.terminate()
            deadline = time.monotonic() + RUN_END_TIMEOUT_SECONDS
            while any(run.is_running() for run in runs) and time.monotonic() < deadline:
                time.sleep(0.1)
        return any([self.worker.stop(15.0), self.server.stop(15.0)])
