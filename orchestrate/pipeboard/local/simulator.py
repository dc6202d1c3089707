"""The simulated Pipedrive account: a daemon with an HTTP route that controls it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local.daemon import Daemon, ServiceSpec
from pipeboard.local.loopback import opener, port_is_taken


@dataclass(frozen=True)
class Account:
    """What to simulate."""

    deals: int = 10_000
    seed: int = 42

    @property
    def options(self) -> list[str]:
        """The options of the simulator that choose this account."""
        return ["--account", "generated", "--deals", str(self.deals), "--seed", str(self.seed)]


class Simulator:
    """One simulated account, in a folder of its own."""

    def __init__(self, folder: Path, command: Path) -> None:
        self.folder = folder
        self.command = command
        self.daemon = Daemon("the simulated account", folder, folder / "simulator.log")
        self._ready_file = folder / "ready.json"
        self._state_file = folder / "account.state"

    @property
    def is_new(self) -> bool:
        """Tell whether this account has no past yet."""
        return not self._state_file.exists() and not self.ready()

    def ready(self) -> dict[str, Any] | None:
        """Return what the running simulator reported about itself, None if it does not run."""
        return self._report() if self.daemon.is_running() else None

    def start(
        self,
        account: Account,
        environ: Mapping[str, str] | None = None,
        on_wait: Callable[[float], object] = lambda _seconds: None,
    ) -> dict[str, Any]:
        """Make sure that it runs, on the port it had before if that is still free.

        Returns:
            What the simulator reports about itself: `url`, `port` and so on.

        Raises:
            PipeboardError: it does not start.

        """
        running = self.ready()
        if running:
            return running
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        account = self._same_account(account)
        port = int((self._report() or {}).get("port", 0))
        command = [str(self.command), "serve", *account.options]
        command += ["--port", "0" if port_is_taken(port) else str(port)]
        command += ["--ready-file", str(self._ready_file), "--state-file", str(self._state_file)]
        self._ready_file.unlink(missing_ok=True)
        spec = ServiceSpec(
            command,
            dict(os.environ if environ is None else environ),
            is_ready=lambda: self._report() is not None,
            timeout_seconds=300.0,
        )
        self.daemon.start(spec, on_wait)
        return self._report() or {}

    def stop(self) -> bool:
        """End it. Return whether it ran."""
        return self.daemon.stop()

    def _report(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._ready_file.read_text())
        except (OSError, ValueError):
            return None
        return found

    def _same_account(self, wanted: Account) -> Account:
        """Return the account that lives here already, else the wanted one from now on."""
        plan = self.folder / "plan.json"
        if self._state_file.exists():
            try:
                return Account(**json.loads(plan.read_text()))
            except (OSError, ValueError, TypeError):
                self._state_file.unlink()
        plan.write_text(json.dumps(asdict(wanted)))
        return wanted

    def advance(self, deals: int) -> dict[str, Any]:
        """Advance the account: so many of its deals change."""
        return self._control("advance", {"deals": deals})

    def stats(self) -> dict[str, Any]:
        """Return how often each operation was called, and what it cost."""
        return self._control("stats")

    def _control(self, action: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        known = self.ready()
        if known is None:
            what, remedy = "the simulated account does not run", "Start it with `make demo`"
            raise PipeboardError(what, remedy, ExitCode.UNAVAILABLE)
        request = urllib.request.Request(
            f"{known['url']}/_control/{action}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with opener.open(request, timeout=300) as answer:
                found: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                reason = error.read().decode(errors="replace")
            what = f"the simulated account refuses to {action} ({error.code}): {reason[:200]}"
            raise PipeboardError(what, f"See {self.daemon.log}", ExitCode.UNAVAILABLE) from error
        return found
