"""The simulated Pipedrive account as a background process, told what to do by HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeboard.local.processes import Recorded
from pipeboard.problems import ExitCode, Problem

# Our own machine is never reached through a proxy.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Account:
    """What to simulate."""

    deals: int = 10_000
    seed: int = 42

    @property
    def words(self) -> list[str]:
        return ["--account", "generated", "--deals", str(self.deals), "--seed", str(self.seed)]


class Simulator:
    """One simulated account, living in one folder."""

    def __init__(self, home: Path, command: Path) -> None:
        self.home = home
        self.command = command
        self.ready_file = home / "ready.json"
        self.state_file = home / "account.state"
        self.process_file = home / "process.json"
        self.log_file = home / "simulator.log"

    @property
    def is_new(self) -> bool:
        """Tell whether this account has no past yet."""
        return not self.state_file.exists() and not self.ready()

    def ready(self) -> dict[str, Any] | None:
        """Return what the running simulator said of itself, None if it does not run."""
        recorded = Recorded.load(self.process_file)
        if recorded is None or not recorded.is_running():
            return None
        try:
            known: dict[str, Any] = json.loads(self.ready_file.read_text())
        except (OSError, ValueError):
            return None
        return known

    def start(
        self,
        account: Account,
        environ: Mapping[str, str] | None = None,
        waiting: Callable[[float], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Make sure it runs, on the port it had before if that is still free."""
        running = self.ready()
        if running:
            return running
        self.stop()
        self.home.mkdir(parents=True, exist_ok=True)
        account = self._same_account(account)
        try:
            port = int(json.loads(self.ready_file.read_text())["port"])
        except (OSError, ValueError, KeyError):
            port = 0
        for attempt in dict.fromkeys((port, 0)):
            found = self._launch(account, attempt, environ, waiting)
            if found:
                return found
        words = self.log_file.read_text().strip().splitlines()
        what = f"the simulated account does not start: {words[-1] if words else 'no reason given'}"
        raise Problem(what, f"See {self.log_file}", ExitCode.UNAVAILABLE)

    def _same_account(self, wanted: Account) -> Account:
        """Return the account that lives here already, else the wanted one from now on."""
        plan = self.home / "plan.json"
        if self.state_file.exists():
            try:
                return Account(**json.loads(plan.read_text()))
            except (OSError, ValueError, TypeError):
                self.state_file.unlink()
        plan.write_text(json.dumps(asdict(wanted)))
        return wanted

    def _launch(
        self,
        account: Account,
        port: int,
        environ: Mapping[str, str] | None,
        waiting: Callable[[float], None],
    ) -> dict[str, Any] | None:
        self.ready_file.unlink(missing_ok=True)
        command = [str(self.command), "serve", "--port", str(port), *account.words]
        command += ["--ready-file", str(self.ready_file), "--state-file", str(self.state_file)]
        with self.log_file.open("w") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environ if environ is not None else os.environ),
                start_new_session=True,  # it outlives us, and Ctrl-C is not for it
            )
        recorded = Recorded.of(process.pid)
        if recorded:
            recorded.save(self.process_file)
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < 300:
            known = self.ready() if self.ready_file.exists() else None
            if known:
                return known
            waiting(time.monotonic() - began)
            time.sleep(0.05)
        self.stop()
        return None

    def stop(self) -> bool:
        """End exactly the process we started. Return whether there was one."""
        recorded = Recorded.load(self.process_file)
        ended = recorded.end() if recorded else False
        self.process_file.unlink(missing_ok=True)
        return ended

    def advance(self, deals: int) -> dict[str, Any]:
        """Let the account live on: so many of its deals change."""
        return self._control("advance", {"deals": deals})

    def stats(self) -> dict[str, Any]:
        """Return how often each operation was called, and what it cost."""
        return self._control("stats")

    def _control(self, action: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        known = self.ready()
        if known is None:
            what, remedy = "the simulated account does not run", "Start it with `make demo`"
            raise Problem(what, remedy, ExitCode.UNAVAILABLE)
        request = urllib.request.Request(
            f"{known['url']}/_control/{action}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with _direct.open(request, timeout=300) as answer:
                found: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            words = error.read().decode(errors="replace")
            what = f"the simulated account refuses to {action} ({error.code}): {words[:200]}"
            raise Problem(what, f"See {self.log_file}", ExitCode.UNAVAILABLE) from error
        return found
