"""Faults and phases: what is broken, when, and how it is mended; the tests play each pair."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_lowercase
from typing import Any
from unittest import mock

import psycopg
import redis
from moments import at_a_load, is_call_of
from pipeboard_target_postgres import staging
from pipeboard_target_postgres.connector import APPLICATION_NAME
from play import Play
from processes import PlayOfProcesses
from server import Server
from transport import Killed
from valkey_server import Valkey

#: When a fault strikes. The last three are jobs of their own, with a state of their own.
PHASES = ("first sync", "incremental", "history", "merge", "backfill", "sweep")
#: In these the source is called.
READING = tuple(phase for phase in PHASES if phase != "merge")
SECONDS_WITHOUT_ANSWER = 1.0


class NotPossibleError(Exception):
    """This machine cannot make the fault; the message says why."""


@dataclass
class Bench:
    """What the faults break."""

    server: Server
    valkey: Valkey | None = None
    disk: Path | None = None
    struck: int = 0
    mends: ExitStack = field(default_factory=ExitStack)


@dataclass(frozen=True)
class Fault:
    """A fault: what strikes, where it is noticed, and in which phases.

    Attributes:
        ends: how the run ends that meets it.
        strike: breaks something, and may register on `bench.mends` how to mend it.
        place: `source` (at a call of the tap), `loader` (at a load), `copy` (in mid-COPY), or
            `tap process` and `loader process` (as `source` and `loader`, in a process of its own).
        config: settings that the tap needs.
        reason: a part of the reason that the operator reads, where it must be a certain one.

    """

    name: str
    place: str
    strike: Callable[[Bench, Play], None]
    ends: str = "failed"
    phases: tuple[str, ...] = PHASES
    config: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


# -- faults of the network ------------------------------------------------------------------------


def _call_nobody(bench: Bench, play: Play) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        play.transport.elsewhere = f"http://127.0.0.1:{free.getsockname()[1]}"


def _lose_the_name(bench: Bench, play: Play) -> None:
    play.transport.elsewhere = "http://pipedrive.invalid"


def _talk(bench: Bench, answer: bytes | None) -> int:
    """Start a server that says this to everybody, or nothing; return its port."""
    listener = bench.mends.enter_context(socket.create_server(("127.0.0.1", 0)))

    def serve() -> None:
        with ExitStack() as connections, suppress(OSError):
            while True:
                connection = connections.enter_context(listener.accept()[0])
                if answer is not None:
                    connection.recv(65536)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=serve)
    thread.start()
    bench.mends.callback(thread.join)
    bench.mends.callback(listener.shutdown, socket.SHUT_RDWR)
    return int(listener.getsockname()[1])


def _speak_no_tls(bench: Bench, play: Play) -> None:
    play.transport.elsewhere = f"https://127.0.0.1:{_talk(bench, b'no TLS here')}"


def _say_nothing(bench: Bench, play: Play) -> None:
    play.transport.elsewhere = f"http://127.0.0.1:{_talk(bench, None)}"


# -- faults of Redis ------------------------------------------------------------------------------


def _redis(bench: Bench) -> redis.Redis:
    assert bench.valkey is not None
    return redis.Redis.from_url(bench.valkey.url)


def _kill_redis(bench: Bench, play: Play) -> None:
    assert bench.valkey is not None
    bench.valkey.kill()


def _fill_redis(bench: Bench, play: Play) -> None:
    _redis(bench).config_set("maxmemory", 1)
    _redis(bench).config_set("maxmemory-policy", "noeviction")


def _stop_redis(bench: Bench, play: Play) -> None:
    assert bench.valkey is not None
    bench.valkey.process.send_signal(signal.SIGSTOP)


def _garble_redis(bench: Bench, play: Play) -> None:
    keys = list(_redis(bench).scan_iter())
    assert keys
    for key in keys:
        _redis(bench).set(key, "garbage")


# -- faults of processes and the machine -----------------------------------------------------------


def _kill_the_process(bench: Bench, play: Play) -> None:
    raise Killed


def _run_as_processes(bench: Bench, play: Play) -> None:
    """Nothing is broken from here: the process takes its own memory, see `without_memory.py`."""


def _wrong_the_clock(bench: Bench, play: Play) -> None:
    play.clock.error = 40_000_000


# -- faults of PostgreSQL --------------------------------------------------------------------------


def _restart(bench: Bench, play: Play) -> None:
    bench.server.restart()
    play.warehouse.close()


def _end_the_session(bench: Bench, play: Play) -> None:
    ended = bench.server.ask_as_superuser(
        "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity"
        f" where application_name = '{APPLICATION_NAME}'"
    )
    assert ended == 1


def _refuse(bench: Bench, setting: str, undo: str) -> None:
    role = psycopg.conninfo.conninfo_to_dict(bench.server.url)["user"]
    bench.server.run_as_superuser(f'alter role "{role}" {setting}')
    bench.mends.callback(bench.server.run_as_superuser, f'alter role "{role}" {undo}')


def _refuse_connections(bench: Bench, play: Play) -> None:
    _refuse(bench, "connection limit 0", "connection limit -1")
    _end_the_session(bench, play)


def _refuse_writing(bench: Bench, play: Play) -> None:
    name = "default_transaction_read_only"
    _refuse(bench, f"set {name} = on", f"reset {name}")
    _end_the_session(bench, play)


def _hold_a_lock(bench: Bench, play: Play) -> None:
    holder = bench.mends.enter_context(psycopg.connect(bench.server.url))
    table = f'"{play.warehouse.raw}".deals'
    holder.execute(f"lock table {table} in access exclusive mode".encode())
    timer = threading.Timer(SECONDS_WITHOUT_ANSWER, holder.rollback)
    bench.mends.callback(timer.join)
    timer.start()


def _stop_the_session(bench: Bench, play: Play) -> None:
    """Stop the server's process of the loader's session for a second."""
    with psycopg.connect(bench.server.url) as other:
        pids = [pid for (pid,) in other.execute(
            "select pid from pg_stat_activity where pid not in (pg_backend_pid(), %s)"
            " and backend_type = 'client backend'",
            (play.warehouse.connection.info.backend_pid,),
        )]  # fmt: skip
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(
        SECONDS_WITHOUT_ANSWER, lambda: [os.kill(pid, signal.SIGCONT) for pid in pids]
    )
    bench.mends.callback(timer.join)
    timer.start()


def _fill_the_disk(bench: Bench, play: Play) -> None:
    assert bench.disk is not None
    ballast = bench.disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"\0" * 8192):
            pass
    bench.mends.callback(ballast.unlink)


@contextmanager
def small_disk(server: Server) -> Iterator[Path]:
    """Yield a file system of a few megabytes on which the loader's tables are from now on.

    Raises:
        NotPossibleError: nothing can be mounted here.

    """
    user = server.embedded.user
    if user is None or sys.platform != "linux":
        msg = "only root on Linux can mount a small disk"
        raise NotPossibleError(msg)
    disk = Path(server.cluster.home) / "small"
    disk.mkdir(exist_ok=True)
    options = f"size=16m,uid={user.uid},gid={user.gid},mode=0700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        msg = "mount is not permitted here"
        raise NotPossibleError(msg)
    database = psycopg.conninfo.conninfo_to_dict(server.url)["dbname"]
    try:
        server.run_as_superuser(f"create tablespace small location '{disk}'")
        server.run_as_superuser("grant create on tablespace small to public")
        server.run_as_superuser(f"alter database {database} set default_tablespace = small")
        yield disk
        server.run_as_superuser(f"alter database {database} reset default_tablespace")
    finally:
        server.run_as_superuser("drop tablespace if exists small")
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        shutil.rmtree(disk)


FAULTS = (
    Fault("API down", "source", _call_nobody, "failed", READING),
    Fault("DNS", "source", _lose_the_name, "failed", READING),
    Fault("TLS", "source", _speak_no_tls, "failed", READING),
    Fault("network silent", "source", _say_nothing, "failed", READING, {"request_timeout": 0.2}),
    Fault("Redis gone", "source", _kill_redis, "succeeded", READING, {"redis_url": ""}),
    Fault("Redis full", "source", _fill_redis, "succeeded", READING, {"redis_url": ""}),
    Fault("Redis silent", "source", _stop_redis, "succeeded", READING, {"redis_url": ""}),
    Fault("Redis garbage", "source", _garble_redis, "succeeded", READING, {"redis_url": ""}),
    Fault("clock", "source", _wrong_the_clock, "succeeded", READING),
    Fault("loader killed", "loader", _kill_the_process),
    Fault(
        "tap out of memory",
        "tap process",
        _run_as_processes,
        phases=READING,
        reason="out of memory: the process got no more memory",
    ),
    Fault(
        "loader out of memory",
        "loader process",
        _run_as_processes,
        reason="Out of memory: the process got no more memory",
    ),
    Fault("PostgreSQL restarted", "loader", _restart, "succeeded"),
    Fault("session ended", "loader", _end_the_session),
    Fault("cut in COPY", "copy", _end_the_session, "succeeded", READING),
    # The sweep of the tests marks nothing, and so writes nothing.
    Fault("disk full", "loader", _fill_the_disk, phases=PHASES[:-1]),
    Fault("max_connections", "loader", _refuse_connections),
    Fault("read-only", "loader", _refuse_writing),
    Fault("lock held", "loader", _hold_a_lock, "succeeded"),
    Fault("PostgreSQL silent", "loader", _stop_the_session, "succeeded"),
)
#: How a run ends in one phase that ends otherwise in the others: a sweep is not tried again.
EXCEPTIONS = {("PostgreSQL restarted", "sweep"): "failed"}
#: Pairs that run with each change; the others by night.
EACH_CHANGE = {
    ("API down", "history"), ("Redis gone", "incremental"), ("cut in COPY", "first sync"),
    ("max_connections", "merge"),
}  # fmt: skip
#: After the loading: dbt builds, dbt publishes marts, the supervisor reads and sends metrics, and
#: the static page is written.
LATER_PHASES = ("dbt", "publishing", "metrics", "page")
_BUILDS = "tests/end_to_end/test_build_faults.py"
_FAULTS, _OUTCOMES = "tests/end_to_end/test_faults.py", "tests/end_to_end/test_outcomes.py"
_METRICS = "orchestrate/tests/test_metrics_faults.py"
_OF_A_BUILD = f"{_BUILDS}::test_a_run_after_a_fault_makes_every_table_right"
_OF_METRICS = f"{_METRICS}::test_a_database_that_fails_while_metrics_are_read_changes_no_run"
_PAGE = "plugins/utilities/metabase/tests/static_dashboard/test_page.py"
_OF_A_GATEWAY = f"{_METRICS}::test_a_gateway_that_fails_changes_no_run_and_the_next_run_pushes"
#: Tests of several faults, whose parameters have the names of these.
OF_SEVERAL = (_OF_A_BUILD, _OF_METRICS, _OF_A_GATEWAY)
#: The tests that show a fault in these phases, in the rooms where dbt or a Pushgateway runs.
ELSEWHERE = {
    ("PostgreSQL restarted", "dbt"): (
        f"{_FAULTS}::test_a_database_killed_while_dbt_builds_fails_the_run"
    ),
    ("PostgreSQL restarted", "publishing"): _OF_A_BUILD,
    ("session ended", "dbt"): _OF_A_BUILD,
    ("session ended", "publishing"): _OF_A_BUILD,
    ("session ended", "metrics"): _OF_METRICS,
    ("session ended", "page"): (
        f"{_PAGE}::test_a_session_that_ends_fails_the_page_and_not_its_cards"
    ),
    ("disk full", "page"): f"{_PAGE}::test_a_full_disk_leaves_the_page_before_it",
    ("disk full", "dbt"): _OF_A_BUILD,
    ("disk full", "publishing"): _OF_A_BUILD,
    ("max_connections", "dbt"): _OF_A_BUILD,
    ("max_connections", "publishing"): _OF_A_BUILD,
    ("read-only", "dbt"): _OF_A_BUILD,
    ("read-only", "publishing"): _OF_A_BUILD,
    ("lock held", "dbt"): _OF_A_BUILD,
    ("lock held", "publishing"): _OF_A_BUILD,
    ("lock held", "metrics"): _OF_METRICS,
    ("PostgreSQL silent", "dbt"): _OF_A_BUILD,
    ("PostgreSQL silent", "publishing"): _OF_A_BUILD,
    ("PostgreSQL silent", "metrics"): _OF_METRICS,
    ("dbt out of memory", "dbt"): (
        f"{_BUILDS}::test_a_dbt_without_memory_says_so_and_the_run_after_it_makes_every_table_right"
    ),
    ("dbt killed", "dbt"): f"{_OUTCOMES}::test_a_killed_dbt_fails_the_run",
    ("dbt killed", "publishing"): (
        "tests/warehouse/test_always_there.py::test_a_build_that_is_killed_leaves_every_mart"
    ),
    ("supervisor killed", "dbt"): (
        f"{_FAULTS}::test_a_supervisor_killed_while_dbt_builds_leaves_no_process"
    ),
    ("Pushgateway gone", "metrics"): _OF_A_GATEWAY,
    ("Pushgateway garbage", "metrics"): _OF_A_GATEWAY,
    ("Pushgateway silent", "metrics"): _OF_A_GATEWAY,
    ("Pushgateway endless", "metrics"): _OF_A_GATEWAY,
}


@contextmanager
def broken(bench: Bench, fault: Fault, phase: str, play: Play) -> Iterator[None]:
    """Let the fault strike once, at the moment of its phase; mend it afterwards."""
    bench.struck = 0

    def strike() -> None:
        if not bench.struck:
            bench.struck += 1
            fault.strike(bench, play)

    with bench.mends, ExitStack() as patches:
        if fault.place == "source":
            patches.enter_context(_at_a_call(play, phase, strike))
        elif fault.place.endswith("process"):
            patches.enter_context(_as_processes(play, fault.place.split()[0], phase))
            strike()
        elif fault.place == "copy":
            patches.enter_context(_in_copy(strike))
        else:
            patches.enter_context(at_a_load(phase, strike))
        yield
    play.transport.elsewhere, play.clock.error = None, 0


@contextmanager
def _at_a_call(play: Play, phase: str, strike: Callable[[], None]) -> Iterator[None]:
    def at(path: str) -> None:
        if is_call_of(phase, play.transport.calls, path):
            strike()

    play.transport.before_path = at
    try:
        yield
    finally:
        play.transport.before_path = lambda _: None


@contextmanager
def _as_processes(play: Play, program: str, phase: str) -> Iterator[None]:
    assert isinstance(play, PlayOfProcesses)
    play.loses_memory = (program, phase)
    try:
        yield
    finally:
        play.loses_memory = None


@contextmanager
def _in_copy(strike: Callable[[], None]) -> Iterator[None]:
    write = psycopg.Copy.write

    def written(self: psycopg.Copy, buffer: Any) -> None:
        write(self, buffer)
        strike()

    with (
        mock.patch.object(psycopg.Copy, "write", written),
        # Few rows are merged without COPY.
        mock.patch.object(staging, "MOST_ROWS_AS_PARAMETERS", 0),
    ):
        yield


def table() -> str:
    """Return the matrix as a table of Markdown, and the tests that its letters stand for."""
    phases = (*PHASES, *LATER_PHASES)
    tests = list(dict.fromkeys(ELSEWHERE.values()))
    played = {fault.name: fault.phases for fault in FAULTS}
    names = list(dict.fromkeys([*played, *(name for name, _ in ELSEWHERE)]))
    lines = [f"| fault | {' | '.join(phases)} |", f"|{'---|' * (len(phases) + 1)}"]
    for name in names:
        cells = []
        for phase in phases:
            if test := ELSEWHERE.get((name, phase)):
                cells.append(ascii_lowercase[tests.index(test)])
            elif phase in played.get(name, ()):
                cells.append("each change" if (name, phase) in EACH_CHANGE else "nightly")
            else:
                cells.append("")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    letters = [f"| {ascii_lowercase[at]} | `{test}` |" for at, test in enumerate(tests)]
    return "\n".join([*lines, "", "| | test |", "|---|---|", *letters, ""])
