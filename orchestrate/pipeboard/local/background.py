"""Programs of others in the background: started once, seen to answer, ended by their own number."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pipeboard.local.cluster import free_port, port_is_taken
from pipeboard.local.processes import Recorded
from pipeboard.problems import ExitCode, Problem

LARGEST_LOG = 10_000_000


@dataclass(frozen=True)
class Recipe:
    """How a program is started.

    Attributes:
        command: its words.
        environ: its environment, as far as it means something to it.
        answers: asked until it says that the program does its work.
        signature: what else, if it changes, makes a running program out of date: the contents of a
            file it reads, for one. Its words and :attr:`environ` count anyway.
        patience: seconds until it must have answered.
        surroundings: the rest of its environment; a change of that means nothing.

    """

    command: Sequence[str]
    environ: Mapping[str, str] = field(repr=False)
    answers: Callable[[], bool]
    signature: str = ""
    patience: float = 60.0
    surroundings: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def digest(self) -> str:
        """A text that changes with all that a running program was started with."""
        told = [list(self.command), sorted(self.environ.items()), self.signature]
        return sha256(json.dumps(told).encode()).hexdigest()


@dataclass(frozen=True)
class Background:
    """One program, with a folder of its own and a log."""

    name: str
    home: Path
    log: Path

    def is_running(self) -> bool:
        """Tell whether the program that we started still runs."""
        recorded = Recorded.load(self._process)
        return recorded is not None and recorded.is_running()

    def port(self, usual: int) -> int:
        """Return the port to listen on: the one it has, or had; else the usual one, if free."""
        try:
            known = int(self._port.read_text())
        except (OSError, ValueError):
            known = usual
        if not self.is_running() and port_is_taken(known):
            known = usual if known != usual and not port_is_taken(usual) else free_port()
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._port.write_text(str(known))
        return known

    def known_port(self) -> int | None:
        """Return the port of the running program."""
        try:
            return int(self._port.read_text()) if self.is_running() else None
        except (OSError, ValueError):
            return None

    def start(self, recipe: Recipe) -> bool:
        """Make sure it runs as the recipe says; return whether it had to be started.

        Raises:
            Problem: it ended, or did not answer in time.

        """
        if self.is_running() and self._started_as(recipe):
            return False
        self.stop()
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".old.log"))
        with os.fdopen(
            os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a"
        ) as log:
            try:
                process = subprocess.Popen(
                    list(recipe.command),
                    cwd=self.home,
                    env={**recipe.surroundings, **recipe.environ},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # it outlives us, and Ctrl-C is not for it
                )
            except OSError as error:
                what = f"{self.name} cannot be started: {recipe.command[0]}: {error.strerror}"
                raise Problem(what, "Run `make setup`", ExitCode.CONFIGURATION) from error
        recorded = Recorded.of(process.pid)
        if recorded:
            recorded.save(self._process)
            self._digest.write_text(recipe.digest)
        deadline = time.monotonic() + recipe.patience
        while process.poll() is None and time.monotonic() < deadline:
            if recipe.answers():
                return True
            time.sleep(0.05)
        ended = process.poll()
        self.stop()
        how = "does not answer" if ended is None else f"ended at once (exit code {ended})"
        lines = self.log.read_text(errors="replace").strip().splitlines()
        what = f"{self.name} {how}: {lines[-1][:300] if lines else 'no reason given'}"
        raise Problem(what, f"See {self.log}", ExitCode.UNAVAILABLE)

    def stop(self, patience: float = 10.0) -> bool:
        """End it, gently first. Return whether there was something to end."""
        recorded = Recorded.load(self._process)
        ended = recorded.end(patience) if recorded else False
        self._process.unlink(missing_ok=True)
        return ended

    def _started_as(self, recipe: Recipe) -> bool:
        try:
            return self._digest.read_text() == recipe.digest
        except OSError:
            return False

    @property
    def _process(self) -> Path:
        return self.home / "process.json"

    @property
    def _digest(self) -> Path:
        return self.home / "started-as"

    @property
    def _port(self) -> Path:
        return self.home / "port"
