"""Ports of the cluster that answer on this machine, kept open in the background."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.cluster import Cluster
from deploy.errors import DeployError, ExitCode
from deploy.manifest import Manifest
from deploy.shell import READ_TIMEOUT_SECONDS, Shell, call, say
from deploy.target import Target

#: Service, its port on this machine, its port in the cluster.
SERVICES = (
    ("grafana", 3000, 3000),
    ("metabase", 3001, 3000),
    ("prometheus", 9090, 9090),
    ("prefect-server", 4200, 4200),
)
ANSWER_TIMEOUT_SECONDS = 30
#: Starts kubectl again whenever the connection drops. Its name, $0, is what `is_running` looks for.
KEEP_FORWARDING = 'while true; do "$@"; sleep 2; done'
PROGRAM_NAME = "run_project.sh"


@dataclass(frozen=True)
class Forwarding:
    """One Service, forwarded or not: its process group and its port, in files."""

    folder: Path
    service: str

    def is_running(self) -> bool:
        """Tell whether its process runs; the number may belong to another program by now."""
        process = self._process_group()
        if process is None:
            return False
        shown = call(
            ("ps", "-o", "args=", "-p", str(process)),
            cwd=self.folder,
            capture=True,
            quiet=True,
            timeout=READ_TIMEOUT_SECONDS,
        )
        return PROGRAM_NAME in shown.stdout

    def is_on(self, port: int) -> bool:
        """Tell whether it runs on that port, and the port answers."""
        try:
            recorded = self._file("port").read_text().strip()
        except OSError:
            return False
        return recorded == str(port) and self.is_running() and is_answering(port)

    def start(self, cluster: Cluster, local_port: int, port: int) -> None:
        """Forward, in a process group of its own, until it is ended."""
        forward = cluster.command(
            *("port-forward", "--address", "127.0.0.1"),
            *(f"service/{self.service}", f"{local_port}:{port}"),
        )
        with self._file("log").open("wb") as log:
            process = subprocess.Popen(
                ["sh", "-c", KEEP_FORWARDING, PROGRAM_NAME, *forward],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._file("pid").write_text(f"{process.pid}\n")
        self._file("port").write_text(f"{local_port}\n")
        if not wait_for_answer(local_port):
            raise DeployError(
                ExitCode.UNAVAILABLE,
                f"{self.service} does not answer on {local_port}; {self._file('log')} says why",
            )

    def end(self, shell: Shell) -> None:
        """End it, if it runs; with `--dry-run` only say so."""
        if self.is_running():
            if shell.dry_run:
                say("would", f"end the forwarding of {self.service}")
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process_group() or 0, signal.SIGTERM)
        if not shell.dry_run:
            self._file("pid").unlink(missing_ok=True)
            self._file("port").unlink(missing_ok=True)

    def _process_group(self) -> int | None:
        try:
            return int(self._file("pid").read_text())
        except (OSError, ValueError):
            return None

    def _file(self, kind: str) -> Path:
        return self.folder / f"{self.service}.{kind}"


def forward(cluster: Cluster, target: Target, manifest: Manifest) -> None:
    """Make the Services of the release answer on this machine.

    Raises 69 if a port is taken or does not answer.
    """
    shift = port_shift()
    for service, usual_port, port in SERVICES:
        if not manifest.has_service(service):
            continue
        local_port = usual_port + shift
        forwarding = Forwarding(forward_folder(target), service)
        if forwarding.is_on(local_port):
            say("forward", f"{service} is on http://127.0.0.1:{local_port} already")
            continue
        if cluster.shell.dry_run:
            say("would", f"forward {service}")
            continue
        forwarding.end(cluster.shell)
        # Else a program that answers there already would pass for the Service.
        if is_answering(local_port):
            raise DeployError(
                ExitCode.UNAVAILABLE,
                f"port {local_port} of this machine is taken: "
                f"PIPEBOARD_PORT_SHIFT=10000 ./run_project.sh forward --env {target.name}",
            )
        forwarding.start(cluster, local_port, port)
        say("forward", f"{service} is on http://127.0.0.1:{local_port}")


def stop_forwarding(shell: Shell, target: Target) -> None:
    """End everything that is forwarded for this target."""
    folder = forward_folder(target)
    for file in sorted(folder.glob("*.pid")):
        Forwarding(folder, file.stem).end(shell)


def forward_folder(target: Target) -> Path:
    """Return the folder of process numbers, ports and logs."""
    folder = target.work / "forward"
    folder.mkdir(exist_ok=True)
    return folder


def port_shift() -> int:
    """Return what is added to every port of this machine. Raises 78 if it is no number."""
    given = os.environ.get("PIPEBOARD_PORT_SHIFT") or "0"
    try:
        return int(given)
    except ValueError as error:
        raise DeployError(
            ExitCode.CONFIGURATION, f"PIPEBOARD_PORT_SHIFT is a number, not {given}"
        ) from error


def is_answering(port: int) -> bool:
    """Tell whether a port of this machine accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def wait_for_answer(port: int) -> bool:
    """Wait until a port answers; return whether it does in time."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_SECONDS
    while not is_answering(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
