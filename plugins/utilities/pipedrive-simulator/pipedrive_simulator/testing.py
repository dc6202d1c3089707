"""A simulator for tests: in a thread (with access to the account) or as a process of its own.

from pipedrive_simulator.testing import running_simulator

with running_simulator(deals=50) as simulator:
requests.get(f"{simulator.url}/api/v2/deals", headers=simulator.headers)
simulator.account.move_deal(7, stage_id=3)
simulator.control("POST", "faults", {"kind": "500", "count": 2})
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipedrive_simulator.account.journal import locked
from pipedrive_simulator.client import ControlClient
from pipedrive_simulator.generator.simulated_account import SimulatedAccount
from pipedrive_simulator.opening import Plan, open_account
from pipedrive_simulator.server.api import Api, ApiSettings
from pipedrive_simulator.server.app import App
from pipedrive_simulator.server.limits import Limits
from pipedrive_simulator.server.run import bind, make_server, url_of

#: The current time of accounts in tests, unless a test gives another one.
TEST_NOW = "2026-06-15T12:00:00Z"
_START_SECONDS = 60.0


@dataclass
class RunningSimulator:
    """A running simulator. `account` and `api` exist only if it runs in a thread."""

    url: str
    token: str
    company: str
    client: ControlClient
    account_or_none: SimulatedAccount | None = None
    api_or_none: Api | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers with the API token."""
        return {"x-api-token": self.token}

    @property
    def account(self) -> SimulatedAccount:
        """The account itself; only in a thread."""
        assert self.account_or_none is not None, "this simulator runs in another process"
        return self.account_or_none

    @property
    def api(self) -> Api:
        """The API with its limits, faults and statistics; only in a thread."""
        assert self.api_or_none is not None, "this simulator runs in another process"
        return self.api_or_none

    def control(self, method: str, route: str, body: Any = None, **query: Any) -> Any:
        """Call a control route: `control("POST", "advance", {"deals": 10})`."""
        return self.client.call(method, route, body, **query)

    def truth(self, name: str) -> list[dict[str, Any]]:
        """Return the account's records of an entity, read past the API."""
        return list(self.client.truth(name))


@contextlib.contextmanager
def running_simulator(  # noqa: PLR0913 - options, each with a default
    account: SimulatedAccount | None = None,
    *,
    kind: str = "generated",
    deals: int = 20,
    seed: int = 42,
    csv_dir: str | Path | None = None,
    now: str | None = TEST_NOW,
    frozen: bool = True,
    company: str = "demo",
    token: str = "demo-token",
    burst: int | None = None,
    daily_tokens: int | None = None,
    strict: bool = True,
    latency: float = 0.0,
    process: bool = False,
    state_file: str | Path | None = None,
) -> Iterator[RunningSimulator]:
    """Run a simulator on a free port for the length of a `with` block.

    Pass an existing `account`, or the parameters of a new one. The clock is frozen unless
    `frozen` is false. `process=True` starts another process, reached only by the control routes.
    """
    folder = None if csv_dir is None else str(csv_dir)
    plan = Plan(kind, deals, seed, folder, None if kind == "csv" else now, company, frozen)
    if process:
        with _in_process(plan, token, burst, daily_tokens, strict, latency, state_file) as running:
            yield running
        return
    journal = None if state_file is None or account is not None else Path(state_file)
    with locked(journal):
        if account is None:
            account = open_account(plan, journal)
        with _in_thread(account, token, burst, daily_tokens, strict, latency) as running:
            yield running


@contextlib.contextmanager
def _in_thread(
    account: SimulatedAccount, token: str, burst: int | None, daily_tokens: int | None,
    strict: bool, latency: float,
) -> Iterator[RunningSimulator]:  # fmt: skip
    default = Limits()
    limits = Limits(
        default.burst if burst is None else burst,
        default.daily_tokens if daily_tokens is None else daily_tokens,
    )
    api = Api(account, ApiSettings(token=token, strict=strict), limits)
    listener = bind("127.0.0.1", 0)
    server = make_server(App(api, latency=latency))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                msg = "the simulator did not start"
                raise RuntimeError(msg)
            time.sleep(0.001)
        url = url_of(listener)
        yield RunningSimulator(url, token, account.company, ControlClient(url), account, api)
    finally:
        server.end(force=True)
        thread.join(10)
        listener.close()


@contextlib.contextmanager
def _in_process(
    plan: Plan, token: str, burst: int | None, daily_tokens: int | None, strict: bool,
    latency: float, state_file: str | Path | None,
) -> Iterator[RunningSimulator]:  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="pipedrive-simulator-") as folder:
        ready = Path(folder, "ready.json")
        command = [
            sys.executable, "-m", "pipedrive_simulator", "serve", "--ready-file", str(ready),
            "--account", plan.kind, "--deals", str(plan.deals), "--seed", str(plan.seed),
            "--token", token, "--company", plan.company, "--latency-ms", str(latency * 1000),
            "--strict" if strict else "--lenient",
        ]  # fmt: skip
        given = {
            "--csv-dir": plan.csv_dir, "--now": plan.now, "--burst": burst,
            "--daily-tokens": daily_tokens, "--state-file": state_file,
        }  # fmt: skip
        for name, value in given.items():
            command += [] if value is None else [name, str(value)]
        command += ["--freeze-clock"] if plan.frozen else []
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ)
        try:
            ready_file = _wait_for(ready, process)
            url = ready_file["url"]
            yield RunningSimulator(url, token, plan.company, ControlClient(url))
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(ready: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    until = time.monotonic() + _START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > until:
            msg = f"the simulator did not start (exit code {process.poll()})"
            raise RuntimeError(msg)
        time.sleep(0.01)
    ready_file: dict[str, Any] = json.loads(ready.read_text(encoding="utf-8"))
    return ready_file
