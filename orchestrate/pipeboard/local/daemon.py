"""Programs that run in the background: start, find again, wait for the answer, end."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local.loopback import free_port, port_is_taken
from pipeboard.local.processes import TrackedProcess

LARGEST_LOG = 10_000_000


@dataclass(frozen=True)
class ServiceSpec:
    """How a program is started.

    Attributes:
        command: the program and its arguments.
        environ: the variables that decide what it does.
        is_ready: called until it returns True.
        signature: anything else that makes a running program out of date when it changes, such as
            the contents of a file that the program reads. `command` and `environ` count anyway.
        timeout_seconds: the time in which it must become ready.
        inherited_environ: the rest of its environment; a change there does not restart it.
        cwd: its working directory; without one, the daemon's own folder.
        pass_fds: file descriptors that the program keeps open, a lock for one.

    """

    command: Sequence[str]
    environ: Mapping[str, str] = field(repr=False)
    is_ready: Callable[[], bool]
    signature: str = ""
    timeout_seconds: float = 60.0
    inherited_environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    pass_fds: Sequence[int] = ()

    @property
    def digest(self) -> str:
        """A hash of everything that a running program was started with."""
        parts = [list(self.command), sorted(self.environ.items()), self.signature]
        return sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Daemon:
    """One background program.

    Attributes:
        name: what messages call it.
        folder: its folder.
        log: the file its output is appended to.
        record: the file in `folder` that remembers its process.

    """

    name: str
    folder: Path
    log: Path
    record: str = "process.json"

    @property
    def process(self) -> TrackedProcess | None:
        """The process that we started, None if it does not run any more."""
        tracked = TrackedProcess.load(self._record)
        return tracked if tracked and tracked.is_running() else None

    def is_running(self) -> bool:
        """Tell whether the program that we started still runs."""
        return self.process is not None

    def port(self, usual: int) -> int:
        """Return the port to listen on: the one it has, or had; else the usual one, if free."""
        try:
            known = int(self._port.read_text())
        except (OSError, ValueError):
            known = usual
        if not self.is_running() and port_is_taken(known):
            known = usual if known != usual and not port_is_taken(usual) else free_port()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._port.write_text(str(known))
        return known

    def known_port(self) -> int | None:
        """Return the port of the running program."""
        try:
            return int(self._port.read_text()) if self.is_running() else None
        except (OSError, ValueError):
            return None

    def start(
        self, spec: ServiceSpec, on_wait: Callable[[float], object] = lambda _seconds: None
    ) -> bool:
        """Make sure that the program runs as `spec` says; return whether it was started now.

        Args:
            spec: how to start it.
            on_wait: called with the seconds waited so far, until the program is ready.

        Raises:
            PipeboardError: it cannot be started, ended, or did not become ready in time.

        """
        if self.is_running() and self._started_as(spec):
            return False
        self.stop()
        process, log_start = self._spawn(spec)
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < spec.timeout_seconds:
            if spec.is_ready():
                return True
            on_wait(time.monotonic() - began)
            time.sleep(0.05)
        exit_code = process.poll()
        self.stop()
        how = "does not answer" if exit_code is None else f"ended at once (exit code {exit_code})"
        lines = self.log.read_bytes()[log_start:].decode(errors="replace").strip().splitlines()
        what = f"{self.name} {how}: {lines[-1][:300] if lines else 'no reason given'}"
        raise PipeboardError(what, f"See {self.log}", ExitCode.UNAVAILABLE)

    def stop(self, timeout_seconds: float = 10.0) -> bool:
        """End the program: SIGTERM, and SIGKILL after the timeout. Return whether it ran."""
        process = self.process
        was_running = process.end(timeout_seconds) if process else False
        self._record.unlink(missing_ok=True)
        return was_running

    def _spawn(self, spec: ServiceSpec) -> tuple[subprocess.Popen[bytes], int]:
        """Start and record the program; return it, and where its output begins in the log."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".old.log"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            log_start = log.seek(0, os.SEEK_END)
            try:
                process = subprocess.Popen(
                    list(spec.command),
                    cwd=spec.cwd or self.folder,
                    env={**spec.inherited_environ, **spec.environ},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=spec.pass_fds,
                    start_new_session=True,  # Ctrl-C in our terminal does not reach it
                )
            except OSError as error:
                what = f"{self.name} cannot be started: {spec.command[0]}: {error.strerror}"
                raise PipeboardError(what, "Run `make setup`", ExitCode.CONFIGURATION) from error
        tracked = TrackedProcess.of(process.pid)
        if tracked:
            tracked.save(self._record)
            self._digest.write_text(spec.digest)
        return process, log_start

    def _started_as(self, spec: ServiceSpec) -> bool:
        try:
            return self._digest.read_text() == spec.digest
        except OSError:
            return False

    @property
    def _record(self) -> Path:
        return self.folder / self.record

    @property
    def _digest(self) -> Path:
        return self._record.with_suffix(".started-as")

    @property
    def _port(self) -> Path:
        return self.folder / "port"
