"""A Prefect of our own, as `make prefect` starts it, beside an account and a PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.loopback import free_port
from pipeboard.local.prefect_service import PrefectService
from pipeboard.local.services import Services
from pipeboard.local.simulator import Account, Simulator
from pipeboard.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
PIPEBOARD = ROOT / ".pipeboard" / "bin" / "pipeboard"
PREFECT_PYTHON = ROOT / ".pipeboard" / "env" / "prefect" / "bin" / "python"
PERSONAL = ("PIPEDRIVE_", "PIPEBOARD_", "MELTANO_", "DBT_", "TAP_", "TARGET_", "PG", "REDIS_")
#: What the worker of the demo environment has, and its runs.
IN_DEMO = {"PIPEBOARD_FLOWS_WORLD": "demo"}
PAT = "github_pat_that_nobody_has"
DEALS = 150
MOST_RETRIES = 10
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
#: Only for a run that hangs: when the worker has ended, a wait ends before.
LONGEST_WAIT_SECONDS = 1800
#: Until the last lines of a run that has ended are on the server.
LOG_TIMEOUT_SECONDS = 300
T = TypeVar("T")
sys.path.insert(0, str(ROOT / "orchestrate" / "flows"))
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def pytest_configure(config: pytest.Config) -> None:
    """Show what a test leaves open; elsewhere it is an error.

    The programs of these tests continue to run in the background.
    """
    config.addinivalue_line("filterwarnings", "default::ResourceWarning")
    config.addinivalue_line("filterwarnings", "default::pytest.PytestUnraisableExceptionWarning")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order of the tests of a module: they share a set-up, and change it."""
    for item in items:
        item.add_marker(pytest.mark.random_order(disabled=True))


@dataclass(frozen=True)
class Site:
    """One account, where it is synced to, and the Prefect that does it."""

    state: Path
    simulator: Simulator
    database: str
    service: PrefectService
    #: What `pipeboard prefect` printed, each time.
    outputs: tuple[str, str]

    @property
    def environ(self) -> dict[str, str]:
        return environ_of(self.state, self.simulator, self.database)

    def pipeboard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return pipeboard(self.environ, *arguments)

    def query(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def control(self, action: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        ready = self.simulator.ready()
        assert ready is not None
        return called(f"{ready['url']}/_control/{action}", body, method)

    def api(self, path: str, body: dict[str, Any] | None = None, method: str = "") -> Any:
        """Call the server, again while its SQLite is locked (503), as Prefect's own client does."""
        assert self.service.auth
        credentials = b64encode(self.service.auth.encode()).decode()
        for _ in range(MOST_RETRIES):
            try:
                return called(f"{self.service.url}/api{path}", body, method, f"Basic {credentials}")
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                time.sleep(1)
        return called(f"{self.service.url}/api{path}", body, method, f"Basic {credentials}")

    def run(self, deployment: str, **environ: str) -> str:
        """Ask for a run now; return its id. `environ` replaces the deployment's own."""
        found = self.api(f"/deployments/name/{deployment}")
        body: dict[str, Any] = {"state": {"type": "SCHEDULED"}}
        if environ:
            body["job_variables"] = {"env": environ}
        return str(self.api(f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def state_of(self, run: str) -> dict[str, Any]:
        found = self.api(f"/flow_runs/{run}")["state"]
        return {"type": found["type"], "name": found["name"], "message": found["message"] or ""}

    def is_final(self, run: str) -> bool:
        return self.state_of(run)["type"] in FINAL

    def final_state(self, run: str) -> dict[str, Any]:
        """Wait for the end of a run; return its state."""
        self.until(f"the end of {run}", lambda: self.is_final(run))
        return self.state_of(run)

    def until(self, what: str, action: Callable[[], T], seconds: float = LONGEST_WAIT_SECONDS) -> T:
        """Wait until `action` returns a true value, and return it.

        A busy machine only makes this longer. It fails at once when the worker has ended: a worker
        starts the runs, and gives a run whose process dies its final state.
        """
        deadline = time.monotonic() + seconds
        while not (found := action()):
            assert self.service.works, f"{what}: the worker has ended"
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
            time.sleep(0.2)
        return found

    def log(self, run: str) -> list[tuple[int, str]]:
        """Return level and text of what a run logged, once the last line has arrived."""
        body = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return [(line["level"], line["message"]) for line in self.api("/logs/filter", body)]

    def tasks(self, run: str) -> list[dict[str, Any]]:
        found = self.api("/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return list(found)

    def artifacts(self, run: str) -> dict[str, Any]:
        body = {"flow_runs": {"id": {"any_": [run]}}}
        return {found["key"]: found["data"] for found in self.api("/artifacts/filter", body)}


def called(
    url: str, body: dict[str, Any] | None = None, method: str = "", auth: str | None = None
) -> Any:
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Content-Type": "application/json",
            **({"Authorization": auth} if auth else {}),
        },
        method=method or ("GET" if body is None else "POST"),
    )
    with _direct.open(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")


def environ_of(state: Path, simulator: Simulator, database: str) -> dict[str, str]:
    ready = simulator.ready()
    assert ready is not None
    clean = {k: v for k, v in os.environ.items() if not k.startswith((*PERSONAL, "PREFECT_"))}
    return {
        **clean,
        # Empty variables hide what a developer's own .env says.
        **dict.fromkeys(("PIPEDRIVE_COMPANY_DOMAIN", "REDIS_URL", "PUSHGATEWAY_URL"), ""),
        "PIPEBOARD_STATE_DIR": str(state),
        "PIPEDRIVE_API_TOKEN": ready["token"],
        "PIPEDRIVE_API_URL": ready["url"],
        "PIPEBOARD_DATABASE_URL": database,
        "PIPEBOARD_FLOWS_RETRY_SECONDS": "1",
        "GITHUB_PAT": PAT,
    }


def pipeboard(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PIPEBOARD), *arguments],
        cwd=ROOT,
        env=environ,
        text=True,
        capture_output=True,
        check=False,
    )


def environ_of_flows() -> dict[str, str]:
    """The variables of a program that imports the flows."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith((*PERSONAL, "PREFECT_"))}
    return {**clean, "PYTHONPATH": str(ROOT / "orchestrate" / "flows")}


def in_prefect(program: str, *arguments: str, **environ: str) -> Any:
    """Run a program that imports the flows; return the JSON of its last line."""
    done = subprocess.run(
        [str(PREFECT_PYTHON), "-c", program, *arguments],
        cwd=ROOT,
        env={**environ_of_flows(), **environ},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("prefect site")
    state = folder / "local state"
    os.environ["PIPEBOARD_STATE_DIR"] = str(state)
    services = Services(Paths(ROOT))
    simulator = Simulator(folder / "account", services.paths.binaries / "pipedrive-simulator")
    simulator.start(Account(deals=DEALS, seed=11))
    server = EmbeddedPostgres(folder / "postgres")
    database = server.start(services.binaries(), "site")["site"]
    service = services.prefects[0]
    # Not the port of another Prefect on this machine.
    service.folder.mkdir(parents=True)
    (service.folder / "port").write_text(str(free_port()))
    environ = environ_of(state, simulator, database)
    first = pipeboard(environ, "prefect")
    assert first.returncode == 0, first.stdout + first.stderr
    found = Site(state, simulator, database, service, (first.stdout, ""))
    try:
        # From here on only runs requested by a test start, at any time of day.
        for deployment in found.api("/deployments/filter", {}):
            found.api(f"/deployments/{deployment['id']}/pause_deployment", {})
        again = pipeboard(environ, "prefect")
        assert again.returncode == 0, again.stdout + again.stderr
        yield Site(state, simulator, database, service, (first.stdout, again.stdout))
    finally:
        stopped = pipeboard(environ, "stop")
        simulator.stop()
        server.destroy()
        os.environ.pop("PIPEBOARD_STATE_DIR")
        assert "stopped Prefect" in stopped.stdout, stopped.stdout + stopped.stderr
