"""No row is lost: state after commit, kill -9, restarts, lost connections, signals."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from loader_helpers import Warehouse, schema, state
from loader_process import Process, message
from loader_server import Server

from pipeboard_target_postgres.errors import EX_UNAVAILABLE
from pipeboard_target_postgres.loader import Loader
from pipeboard_target_postgres.merge import Counts
from pipeboard_target_postgres.staging import Staging

S = schema({"id": "integer", "v": "string", "o": "object"})
N = 4000
WITHOUT_MEMORY = """
import resource
from pipeboard_target_postgres.main import main
resource.setrlimit(resource.RLIMIT_AS, (1 << 20, -1))
taken = []
try:
    while True:
        taken.append(bytearray(1 << 14))
except MemoryError:
    main()
"""


@pytest.fixture
def start(warehouse: Warehouse, tmp_path: Path) -> Iterator[t.Callable[..., Process]]:
    made: list[Process] = []

    def begin(**changes: t.Any) -> Process:
        made.append(Process(warehouse, tmp_path, **changes))
        return made[-1]

    yield begin
    for process in made:
        process.popen.kill()
        process.popen.wait()
        for pipe in (process.popen.stdin, process.popen.stdout, process.popen.stderr):
            with contextlib.suppress(OSError):
                t.cast("t.Any", pipe).close()


def _equals_source(warehouse: Warehouse, n: int, round_: int = 0) -> None:
    assert warehouse.sql(
        "select count(*), count(distinct id), bool_and(v = %s || id), bool_and((o->'k'->>4)::int"
        " = id), min(id), max(id) from {s}.s",
        f"{round_}-",
    ) == [(n, n, True, True, 0, n - 1)]


def test_a_rerun_after_kill_9_gives_all_rows(warehouse: Warehouse, start: t.Any) -> None:
    chance = random.Random(1)
    for _ in range(3):
        process = start()
        process.send(S)
        feeder = threading.Thread(target=process.feed_range, args=(0, N), daemon=True)
        feeder.start()
        process.states.get(timeout=30)  # at least one batch is in
        time.sleep(chance.random() * 0.1)
        process.popen.send_signal(signal.SIGKILL)
        process.popen.wait()
        feeder.join(10)
        time.sleep(0.05)
        promised = process.last_state()
        assert warehouse.one("select count(*) from {s}.s where id < %s", promised) == promised
    process = start()
    process.send(S)
    process.feed_range(0, N)
    assert process.end() == 0
    _equals_source(warehouse, N)
    assert process.last_state() == N


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_loader_without_memory_says_so_in_one_line_and_a_rerun_completes(
    warehouse: Warehouse, start: t.Any
) -> None:
    process = start()
    process.send(S)
    process.feed_range(0, 400)
    process.states.get(timeout=30)
    pid = process.popen.pid
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize(),) * 2)
    process.feed_range(400, 8000)
    assert process.end() == EX_UNAVAILABLE, process.text()
    assert "Out of memory: the process got no more memory" in process.text()
    assert "Traceback" not in process.text()
    promised = process.last_state()
    assert warehouse.one("select count(*) from {s}.s where id < %s", promised) == promised
    process = start()
    process.send(S)
    process.feed_range(0, 1000)
    assert process.end() == 0
    assert warehouse.one("select count(*) from {s}.s where id < 1000") == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_loader_that_gets_no_memory_to_start_says_so_in_one_line() -> None:
    # `make coverage` cannot measure it: that takes memory.
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False, timeout=60, env=environ,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (EX_UNAVAILABLE, 1), done.stderr
    assert done.stderr.startswith("target-postgres: Out of memory: ")


def test_a_server_restart_during_a_batch_loses_no_row(
    warehouse: Warehouse, server: Server | None, start: t.Any
) -> None:
    if server is None:
        pytest.skip("the tests did not start the server, so they do not restart it")
    process = start(reconnect_seconds=30)
    process.send(S)
    process.feed_range(0, 1500)
    process.states.get(timeout=30)
    server.halt()
    process.feed_range(1500, 3000)
    server.start()
    process.feed_range(3000, N)
    assert process.end() == 0, process.text()
    _equals_source(warehouse, N)
    assert process.last_state() == N
    assert "trying again" in process.text()


def test_a_stopped_server_ends_in_one_line_and_a_rerun_completes(
    warehouse: Warehouse, server: Server | None, start: t.Any
) -> None:
    if server is None:
        pytest.skip("the tests did not start the server, so they do not restart it")
    process = start(reconnect_seconds=0)
    process.send(S)
    process.feed_range(0, 1000)
    process.states.get(timeout=30)
    server.halt()
    try:
        process.feed_range(1000, N)
        assert process.end() == EX_UNAVAILABLE
    finally:
        server.start()
    assert "Traceback" not in process.text()
    assert "run again" in process.text()
    promised = process.last_state()
    assert warehouse.one("select count(*) from {s}.s where id < %s", promised) == promised
    process = start()
    process.send(S)
    process.feed_range(0, N, 1)
    assert process.end() == 0
    _equals_source(warehouse, N, 1)


@pytest.mark.parametrize("stored", [0, 500], ids=["new rows", "rows that are there"])
def test_a_lost_connection_is_opened_again(warehouse: Warehouse, stored: int) -> None:
    warehouse.load([S, *[message(i) for i in range(stored)]])
    place, cut = Loader._merge_batch, list[int]()

    def cut_once(self: Loader, cursor: psycopg.Cursor, *given: t.Any) -> Counts:
        counts = place(self, cursor, *given)
        if len(cut) == 1:
            warehouse.sql("select pg_terminate_backend(%s)", cursor.connection.info.backend_pid)
        cut.append(1)
        return counts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "_merge_batch", cut_once)
        warehouse.load(
            [S, *[message(i) for i in range(1000)], state({"at": 1000})],
            batch_size_rows=250,
            reconnect_seconds=20,
        )
    assert len(cut) > 2
    _equals_source(warehouse, 1000)
    assert warehouse.states == [{"at": 1000}]
    assert warehouse.load_row()["records_read"] == 1000


def test_sweep_after_a_lost_connection_marks_nothing(warehouse: Warehouse) -> None:
    warehouse.load([S, *[message(i) for i in range(100)]])
    copy, cut = Staging.copy, list[int]()

    def cut_once(self: Staging, cursor: psycopg.Cursor, rows: t.Any) -> None:
        if len(cut) == 1:
            warehouse.sql("select pg_terminate_backend(%s)", cursor.connection.info.backend_pid)
        cut.append(1)
        copy(self, cursor, rows)

    walk = [{**message(i), "version": 1} for i in range(95)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Staging, "copy", cut_once)
        warehouse.load(
            [S, *walk, {"type": "ACTIVATE_VERSION", "stream": "s", "version": 1}],
            batch_size_rows=30,
            reconnect_seconds=20,
        )
    assert len(cut) > 2
    assert warehouse.one("select count(*) from {s}.s where _sdc_deleted_at is not null") == 0


@pytest.fixture
def small_disk(server: Server | None, warehouse: Warehouse) -> Iterator[Path]:
    """A file system of a few megabytes that holds the tables of the warehouse."""
    if server is None or os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root on Linux can mount a small disk")
    disk = server.home / "small"
    disk.mkdir()
    owner = f"uid={server.user['user']},gid={server.user['group']},mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=4m,{owner}", "tmpfs", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("mount is not permitted here")
    try:
        warehouse.sql(f"create tablespace small location '{disk}'")
        warehouse.sql("alter role current_user set default_tablespace = small")
        yield disk
        warehouse.sql("alter role current_user reset default_tablespace")
        warehouse.sql("drop schema if exists {s} cascade")
        warehouse.sql("drop schema if exists {o} cascade")
        warehouse.sql("drop tablespace small")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_ends_with_69_and_a_rerun_completes(
    warehouse: Warehouse, small_disk: Path, start: t.Any
) -> None:
    process = start(reconnect_seconds=20)
    process.send(S)
    with contextlib.suppress(OSError):  # it is gone before it has read everything
        process.feed_range(0, 10 * N)
    assert process.end() == EX_UNAVAILABLE, process.text()
    assert "disk is full" in process.text()
    assert "Traceback" not in process.text()
    promised = process.last_state()
    assert 0 < promised < 10 * N
    assert warehouse.one("select count(*) from {s}.s where id < %s", promised) == promised
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    process = start()
    process.send(S)
    process.feed_range(0, 10 * N)
    assert process.end() == 0, process.text()
    _equals_source(warehouse, 10 * N)
    assert process.last_state() == 10 * N


def test_state_waits_for_the_commit(warehouse: Warehouse, start: t.Any) -> None:
    warehouse.load([S])
    process = start(batch_wait_seconds=0.1)
    with psycopg.connect(warehouse.url) as blocker:
        blocker.execute(t.cast("t.Any", f"lock table {warehouse.schema}.s in exclusive mode"))
        process.send(S)
        process.feed_range(0, 1000)
        time.sleep(1.5)
        assert process.states.empty()
        assert warehouse.one("select count(*) from {s}.s") == 0
    # The input has not ended: the state is written because of the commit.
    deadline = time.monotonic() + 15
    last = 0
    while last < 1000 and time.monotonic() < deadline:
        last = process.states.get(timeout=15)
        assert warehouse.one("select count(*) from {s}.s where id < %s", last) == last
    assert last == 1000
    assert process.end() == 0


def test_rows_of_a_silent_tap_are_loaded_after_batch_wait_seconds(
    warehouse: Warehouse, start: t.Any
) -> None:
    process = start(batch_wait_seconds=0.3)
    process.send(S, message(0), state({"at": 1}))
    assert process.states.get(timeout=15) == 1
    assert warehouse.one("select count(*) from {s}.s") == 1
    process.send(state({"at": 2}))  # nothing to load: at once
    assert process.states.get(timeout=5) == 2
    assert process.end() == 0


def test_sigterm_loads_what_was_read(warehouse: Warehouse, start: t.Any) -> None:
    process = start(batch_wait_seconds=60)
    process.send(S, message(0), state({"at": 1}))
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and not warehouse.one(
        "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace"
        " where nspname = %s and relname = 's'",
        warehouse.schema,
    ):
        time.sleep(0.05)
    time.sleep(0.3)
    process.popen.send_signal(signal.SIGTERM)
    assert process.end() == 128 + signal.SIGTERM
    assert warehouse.one("select count(*) from {s}.s") == 1
    assert process.last_state() == 1
    assert warehouse.one("select finished_at from {o}.stream_load") is None


def test_a_failed_load_fails_the_run_before_the_next_load(warehouse: Warehouse) -> None:
    place, calls = Loader._merge_batch, list[int]()

    def fail_second(self: Loader, *given: t.Any) -> Counts:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("boom")
        return place(self, *given)

    messages = [m for i in range(50) for m in (message(i), state({"at": i + 1}))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "_merge_batch", fail_second)
        with pytest.raises(RuntimeError, match="boom"):
            warehouse.load([S, *messages], batch_size_rows=10)
    # The state that goes with a batch is the one that came before the batch was full.
    assert warehouse.states == [{"at": 9}]
    assert warehouse.one("select count(*) from {s}.s") == 10
