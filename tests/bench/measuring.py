"""Run commands joined by pipes, and measure them: time, processor, memory, WAL."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from bench.server import Server

#: How often memory is looked at. The kernel keeps the peak, so only the last moments can be missed.
PEEK_SECONDS = 0.05
#: Walking a tree of processes costs more than looking at known ones.
WALK_SECONDS = 0.25


class BenchError(Exception):
    """A measured program failed or lost rows; its figures would mean nothing."""


@dataclass(frozen=True)
class Command:
    """One process to run: its name in the report, its command line, its environment variables."""

    name: str
    argv: Sequence[object]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Used:
    """What one process used: seconds of processor, and memory at its peak (VmHWM)."""

    cpu_seconds: float = 0.0
    peak_bytes: int = 0


@dataclass
class Measured:
    """What a pipe of commands took."""

    seconds: float
    processes: dict[str, Used]
    postgres_cpu_seconds: float = 0.0
    wal_bytes: int = 0
    #: Cores that were busy with something else meanwhile. Above a tenth, the figures suffer.
    other_cores: float = 0.0

    def sample(self) -> dict[str, Any]:
        """Return it as the raw numbers of a sample."""
        return {
            "seconds": round(self.seconds, 4),
            "cpu_seconds": {n: round(u.cpu_seconds, 3) for n, u in self.processes.items()},
            "peak_bytes": {n: u.peak_bytes for n, u in self.processes.items()},
            "postgres_cpu_seconds": round(self.postgres_cpu_seconds, 3),
            "wal_bytes": self.wal_bytes,
            "other_cores": round(self.other_cores, 2),
        }


def clean_environ() -> dict[str, str]:
    """Return this process's environment without settings of the measured programs."""
    prefixes = ("PIPEDRIVE_", "PIPEBOARD_", "MELTANO_", "TAP_", "TARGET_", "DBT_", "PG", "SINGER_")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
    # A person's Python keeps compiled modules, so that a start costs what it costs a person.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**environ, "PYTHONWARNINGS": "ignore", "TZ": "UTC"}


def run(
    commands: Sequence[Command],
    *,
    log: Path,
    source: Path | None = None,
    output: Path | None = None,
    server: Server | None = None,
    children: Callable[[list[str]], str | None] | None = None,
    beside: Mapping[str, int] | None = None,
) -> Measured:
    """Run commands as one pipe, from a file (or nothing) to a file (or nothing).

    Args:
        commands: first to last.
        log: where everything they say on standard error goes.
        source: what the first one reads.
        output: where the last one writes; nowhere by default.
        server: the database they write to, whose work counts too. It is put to rest first.
        children: names a child process by its command line; None leaves it to its parent.
        beside: processes that run anyway, by name and number; what they do meanwhile counts too.

    Raises:
        BenchError: one of them failed.

    """
    if server:
        server.settle()
    wal, cpu = (server.wal(), server.cpu_seconds()) if server else (0, 0.0)
    others = {name: psutil.Process(pid) for name, pid in (beside or {}).items()}
    before = {name: cpu_seconds_of(process) for name, process in others.items()}
    machine = machine_cpu_seconds()
    with ExitStack() as stack:
        log_file = stack.enter_context(log.open("wb"))
        began = time.monotonic()
        started = _start(commands, stack, log_file, source, output)
        watch = Watch({c.name: p.pid for c, p in zip(commands, started, strict=True)}, children)
        with watch:
            codes = [_wait(process) for process in started]
        seconds = time.monotonic() - began
    for command, (code, cpu_seconds) in zip(commands, codes, strict=True):
        if code:
            tail = log.read_text(errors="replace").strip().splitlines()[-8:]
            last_lines = "\n  ".join(line[:300] for line in tail)
            msg = f"{command.name} ended with code {code}:\n  {last_lines}"
            raise BenchError(msg)
        found = [
            used for name, used in watch.children.items() if watch.root_of[name] == command.name
        ]
        watch.roots[command.name].cpu_seconds = cpu_seconds - sum(u.cpu_seconds for u in found)
    measured = Measured(seconds, {**watch.roots, **watch.children})
    for name, process in others.items():
        measured.processes[name] = Used(cpu_seconds_of(process) - before[name])
    if server:
        measured.postgres_cpu_seconds = server.cpu_seconds() - cpu
        measured.wal_bytes = server.wal() - wal
    known = sum(used.cpu_seconds for used in measured.processes.values())
    known += measured.postgres_cpu_seconds
    measured.other_cores = max(machine_cpu_seconds() - machine - known, 0.0) / seconds
    return measured


def _start(
    commands: Sequence[Command],
    stack: ExitStack,
    log: IO[bytes],
    source: Path | None,
    output: Path | None,
) -> list[subprocess.Popen[bytes]]:
    stdin: Any = stack.enter_context(source.open("rb")) if source else subprocess.DEVNULL
    started: list[subprocess.Popen[bytes]] = []
    for number, command in enumerate(commands, 1):
        sink: Any = subprocess.PIPE
        if number == len(commands):
            sink = stack.enter_context(output.open("wb")) if output else subprocess.DEVNULL
        process = subprocess.Popen(
            [str(each) for each in command.argv],
            stdin=stdin,
            stdout=sink,
            stderr=log,
            env={**clean_environ(), **command.environ},
        )
        stack.callback(_end, process)
        if number > 1:
            stdin.close()  # the reader has its own copy, and must see the end when the writer ends
        stdin = process.stdout
        started.append(process)
    return started


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Wait for a process; return its code and the processor it and its children used."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with contextlib.suppress(OSError):
            process.terminate()
            process.wait(20)


class Watch:
    """Measures processes while they run, and their children if `children` names them."""

    def __init__(
        self, pids: Mapping[str, int], children: Callable[[list[str]], str | None] | None
    ) -> None:
        self.roots = {name: Used() for name in pids}
        self.children: dict[str, Used] = {}
        self.root_of: dict[str, str] = {}
        self._pids = pids
        self._name_child = children
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._cpu: dict[str, dict[int, float]] = {}

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for name, seconds in self._cpu.items():
            self.children[name].cpu_seconds = sum(seconds.values())

    def _look(self) -> None:
        pause = WALK_SECONDS if self._name_child else PEEK_SECONDS
        while not self._over.wait(pause):
            for name, pid in self._pids.items():
                used = self.roots[name]
                used.peak_bytes = max(used.peak_bytes, peak_bytes(pid))
                if self._name_child:
                    for child, number, cpu in self._walk(pid):
                        used = self.children.setdefault(child, Used())
                        used.peak_bytes = max(used.peak_bytes, peak_bytes(number))
                        self.root_of[child] = name
                        self._cpu.setdefault(child, {})[number] = cpu

    def _walk(self, pid: int) -> Iterator[tuple[str, int, float]]:
        assert self._name_child is not None
        try:
            found = psutil.Process(pid).children(recursive=True)
        except psutil.Error:
            return
        for child in found:
            with contextlib.suppress(psutil.Error):
                name = self._name_child(child.cmdline())
                if name:
                    yield name, child.pid, cpu_seconds_of(child)


def cpu_seconds_of(process: psutil.Process) -> float:
    """Return the processor time a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def machine_cpu_seconds() -> float:
    """Return the processor time that all processes together have used."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def peak_bytes(pid: int) -> int:
    """Return the most memory a process ever had resident; 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what is measured now, and how long that took."""
    began = time.monotonic()
    print(f"  {name} ...", end="", flush=True)
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - began:.1f} s", flush=True)
