"""A run as two processes, joined by a pipe, of which one loses its memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeboard_target_postgres import report as loader_report
from pipedrive_simulator.generator.simulated_account import SimulatedAccount
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from pipeline import LoaderRun, TapRun
from play import MEMORY, Play
from story import Sync
from transport import URL

from tap_pipedrive.context import account_key
from tap_pipedrive.reporting import run_report

WITHOUT_MEMORY = Path(__file__).with_name("without_memory.py")
#: A run of these small accounts takes seconds; one that hangs is ended.
SECONDS = 120


@contextmanager
def served(account: SimulatedAccount, state: Path) -> Iterator[tuple[Path, RunningSimulator]]:
    """Serve the account to processes; yield a folder with a copy of the tap's files, and it."""
    with (
        tempfile.TemporaryDirectory(prefix="pipeboard-trust-", dir=MEMORY) as name,
        running_simulator(account, burst=1_000_000, daily_tokens=100_000_000) as server,
    ):
        folder = Path(name)
        shutil.copytree(state, folder / "state")
        rename_account(folder / "state", URL, server.url)
        yield folder, server


def rename_account(state: Path, before: str, now: str) -> None:
    """Let the tap's files of the account at one address be those of another address."""
    old, new = account_key(before), account_key(now)
    for path in [*state.rglob(f"*{old}*")]:
        path.rename(path.with_name(path.name.replace(old, new)))


class PlayOfProcesses(Play):
    """A story of which some runs are two processes.

    Attributes:
        loses_memory: `tap` or `loader`, of the runs that are processes, and at which phase.

    """

    loses_memory: tuple[str, str] | None = None

    def _run(
        self, sync: Sync, page_size: int | None, more: dict[str, Any]
    ) -> tuple[TapRun, LoaderRun]:
        if self.loses_memory is None:
            return super()._run(sync, page_size, more)
        began = self._now()
        with served(self._account, self._home / "state") as (folder, server):
            tap, loader = self._run_processes(folder, server, *self.loses_memory, more)
            rename_account(folder / "state", server.url, URL)
            shutil.rmtree(self._home / "state")
            shutil.copytree(folder / "state", self._home / "state")
        self._runs.append((began, self._now()))
        if loader.states:
            self.warehouse.state = loader.states[-1]
        return tap, loader

    def _run_processes(
        self, folder: Path, server: RunningSimulator, victim: str, phase: str, more: dict[str, Any]
    ) -> tuple[TapRun, LoaderRun]:
        files = {
            "tap": {
                "api_url": server.url, "api_token": server.token,
                "state_dir": str(folder / "state"), "page_size": self.story.page_size, **more,
            },
            "loader": self.warehouse.config(self.story, Sync(0)),
            "state": self.warehouse.state,
        }  # fmt: skip
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        reports = {name: folder / f"{name}.report.json" for name in ("tap", "loader")}
        environ = {
            "PATH": os.environ["PATH"], "PYTHONWARNINGS": "ignore", "TZ": "UTC",
            run_report.VARIABLE: str(reports["tap"]),
            loader_report.ENV_REPORT: str(reports["loader"]),
        }  # fmt: skip

        def start(name: str, stdin: Any, stdout: Any, *arguments: object) -> subprocess.Popen[Any]:
            moment = phase if name == victim else "never"
            command = [sys.executable, WITHOUT_MEMORY, name, moment, ",".join(self.story.streams)]
            command += ["--config", folder / f"{name}.json", *arguments]
            with (folder / f"{name}.log").open("wb") as log:
                return subprocess.Popen(
                    [*map(str, command)], env=environ, stdin=stdin, stdout=stdout, stderr=log
                )

        with (folder / "states").open("wb") as states:
            tap = start(
                "tap", subprocess.DEVNULL, subprocess.PIPE, "--state", folder / "state.json"
            )
            loader = start("loader", tap.stdout, states)
            assert tap.stdout is not None
            tap.stdout.close()  # only the loader reads, so that its end breaks the pipe
            ended = [
                self._ended(name, process) for name, process in (("tap", tap), ("loader", loader))
            ]
        for name in reports:
            self._look_at_log(name, (folder / f"{name}.log").read_text())
        lines = (folder / "states").read_text().splitlines()
        read = [
            json.loads(path.read_text()) if path.exists() else None for path in reports.values()
        ]
        return (
            TapRun(b"", ended[0], read[0]),
            LoaderRun([json.loads(line) for line in lines], ended[1], read[1]),
        )

    def _ended(self, name: str, process: subprocess.Popen[Any]) -> int:
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            msg = f"the {name} hangs"
            raise self._broken(msg) from error

    def _look_at_log(self, name: str, log: str) -> None:
        lines = [line for line in log.splitlines() if " INFO " not in line]
        self._note(f"  {name} says: {lines[-1] if lines else 'nothing'}")
        if "Traceback" in log:
            msg = f"the {name} ended with a traceback:\n{log[-2000:]}"
            raise self._broken(msg)
