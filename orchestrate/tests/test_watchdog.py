"""The watchdog, with real processes: whichever is killed, all end, and the lock is freed last."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from pipeboard.database_url import DatabaseUrl
from pipeboard.errors import PipeboardError
from pipeboard.local.processes import create_time
from pipeboard.run import watchdog
from pipeboard.run.child import Child
from pipeboard.run.run_lock import RunLock

# A supervisor: takes the lock, starts a child that starts another one, and waits.
SUPERVISOR = """
import sys
from pathlib import Path
from pipeboard.run.child import Child
from pipeboard.database_url import DatabaseUrl
from pipeboard.run.run_lock import RunLock
url, folder, script = sys.argv[1:]
lock = RunLock(DatabaseUrl(url), "main", "test")
assert lock.take()
child = Child(["/bin/sh", "-c", script], Path(folder), {"PATH": "/usr/bin:/bin"}, lock.socket, 2.0)
while child.line(1.0) is not None:
    pass
print(child.close())
"""
TREE = "echo $$ > parent; (echo $PPID > /dev/null; exec sleep 300) & echo $! > child; wait"
STUBBORN = f"trap '' TERM; {TREE}; wait; sleep 300"
#: Its output ends long before it does.
QUIET = f"exec > /dev/null 2>&1; {TREE}"


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def number(path: Path) -> int:
    until(lambda: path.exists() and path.read_text().strip().isdigit())
    return int(path.read_text())


def is_free(database: DatabaseUrl) -> bool:
    lock = RunLock(database, "main", "other")
    try:
        return lock.take()
    finally:
        lock.close()


@pytest.mark.parametrize("script", [TREE, STUBBORN])
def test_a_killed_supervisor_takes_everything_along(
    tmp_path: Path, database: DatabaseUrl, script: str
) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, database.url, str(tmp_path), script]
    )
    pids = [number(tmp_path / name) for name in ("parent", "child")]
    assert not is_free(database)
    supervisor.kill()
    supervisor.wait()
    # At no time is the lock free while the run lives.
    seen: list[tuple[bool, bool]] = []

    def gone() -> bool:
        free = is_free(database)
        seen.append((free, create_time(pids[0]) is not None))
        return free and not any(map(create_time, pids))

    until(gone)
    assert (True, True) not in seen


@pytest.mark.parametrize("script", [TREE, STUBBORN, QUIET])
def test_a_killed_watchdog_does_not_free_the_run(
    tmp_path: Path, database: DatabaseUrl, script: str
) -> None:
    lock = RunLock(database, "main", "test")
    assert lock.take()
    child = Child(["/bin/sh", "-c", script], tmp_path, {"PATH": "/usr/bin:/bin"}, lock.socket, 1.0)
    pids = [number(tmp_path / name) for name in ("parent", "child")]
    os.kill(child.watchdog_pid, signal.SIGKILL)
    while child.line(0.2) is not None:
        pass
    until(lambda: child.lost_watchdog)  # its output may end before the kernel reports its end
    assert child.close() == 137
    assert not any(map(create_time, pids))
    lock.close()
    until(lambda: is_free(database))  # the server has to see that the connection ended


def test_what_a_killed_command_left_behind_ends_too(tmp_path: Path, database: DatabaseUrl) -> None:
    lock = RunLock(database, "main", "test")
    assert lock.take()
    script = f"{TREE.replace('wait', 'kill -9 $$')}"
    child = Child(["/bin/sh", "-c", script], tmp_path, {"PATH": "/usr/bin:/bin"}, lock.socket, 1.0)
    while child.line(0.2) is not None:
        pass
    assert child.close() == 137
    assert create_time(number(tmp_path / "child")) is None
    lock.close()


def test_a_lock_taken_anew_is_held_like_the_first(tmp_path: Path, database: DatabaseUrl) -> None:
    lock = RunLock(database, "main", "test")
    assert lock.take()
    child = Child(["/bin/sh", "-c", TREE], tmp_path, {"PATH": "/usr/bin:/bin"}, lock.socket, 1.0)
    with psycopg.connect(database.url) as other:
        other.execute("select pg_terminate_backend(%s)", [lock.connection.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        lock.connection.execute("select 1")
    until(lock.retake)
    child.hold(lock.socket)
    time.sleep(0.3)  # for the watchdog to get it
    # As if this process had died. libpq still owns the number of the descriptor, and will close it.
    with Path(os.devnull).open() as null:
        os.dup2(null.fileno(), lock.connection.fileno())
    assert not is_free(database)
    child.end()
    while child.line(0.2) is not None:
        pass
    child.close()
    until(lambda: is_free(database), 5)
    lock.connection.close()


def test_a_command_that_is_not_there_is_one_line(tmp_path: Path, database: DatabaseUrl) -> None:
    lock = RunLock(database, "main", "test")
    assert lock.take()
    with pytest.raises(PipeboardError, match="absent: No such file"):
        Child([str(tmp_path / "absent")], tmp_path, {}, lock.socket)
    lock.close()


@dataclass
class Watched:
    """A watchdog without a supervisor: this test has its end of the channel."""

    process: subprocess.Popen[str]
    channel: socket.socket

    def output(self) -> str:
        """Wait for its end; return its output."""
        return self.process.communicate(timeout=30)[0]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    started: list[Watched] = []

    def start(*command: str, lock: int = 1, grace: float = 1.0) -> Watched:
        channel, its_end = socket.socketpair()
        with its_end:
            arguments = [str(watchdog.__file__), str(its_end.fileno()), str(grace), *command]
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
                pass_fds=[its_end.fileno()],
            )
        socket.send_fds(channel, [b"lock"], [lock])
        started.append(Watched(process, channel))
        return started[-1]

    yield start
    for found in started:
        found.channel.close()
        found.process.communicate(timeout=30)


def test_the_watchdog_exits_like_its_command(watch: Callable[..., Watched]) -> None:
    done = watch("/bin/sh", "-c", "echo line; exit 7")
    assert done.output() == "line\n"
    assert done.process.returncode == 7


def test_a_watchdog_whose_command_is_absent_exits_with_127(watch: Callable[..., Watched]) -> None:
    done = watch("/nowhere/meltano")
    assert done.output() == "/nowhere/meltano: No such file or directory\n"
    assert done.process.returncode == watchdog.FAILED_TO_START


@pytest.mark.parametrize(("script", "code"), [(TREE, 143), (STUBBORN, 137)])
def test_the_end_of_the_channel_ends_the_command_and_its_children(
    tmp_path: Path, watch: Callable[..., Watched], script: str, code: int
) -> None:
    found = watch("/bin/sh", "-c", script)
    pids = [number(tmp_path / name) for name in ("parent", "child")]
    assert found.channel.recv(20) == b"%d\n" % pids[0]
    # Signals to the process group of the supervisor do not end it.
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        found.process.send_signal(signal_number)
    time.sleep(0.3)
    assert found.process.poll() is None
    found.channel.close()
    assert found.process.wait(30) == code
    assert not any(map(create_time, pids))


def test_children_of_a_killed_command_are_ended_by_the_watchdog(
    tmp_path: Path, watch: Callable[..., Watched]
) -> None:
    found = watch("/bin/sh", "-c", TREE.replace("wait", "kill -9 $$"))
    assert found.process.wait(30) == 137
    assert create_time(number(tmp_path / "child")) is None


def test_the_watchdog_lets_a_lock_go_when_it_gets_another(watch: Callable[..., Watched]) -> None:
    """Pipes stand in for sockets of locks: the reader of one sees whether it is still held."""
    first, lost, retaken = (os.pipe() for _ in range(3))
    found = watch("/bin/sleep", "300", lock=first[1])
    assert found.channel.recv(20)
    for _, held in (lost, retaken):
        socket.send_fds(found.channel, [b"lock"], [held])
    for reader, held in (first, lost, retaken):
        os.close(held)
        os.set_blocking(reader, False)

    def is_held(reader: int) -> bool:
        try:
            return os.read(reader, 1) != b""
        except BlockingIOError:
            return True

    until(lambda: not is_held(lost[0]))
    assert is_held(first[0]), "the command holds it, too"
    assert is_held(retaken[0])
    found.channel.close()
    assert found.process.wait(30) == 143
    assert not is_held(first[0]) and not is_held(retaken[0])
    for reader, _ in (first, lost, retaken):
        os.close(reader)
