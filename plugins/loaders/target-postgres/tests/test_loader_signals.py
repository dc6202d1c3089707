"""SIGTERM and SIGINT at any moment: the process ends in time, and no state is ahead of its rows."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import threading
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from loader_helpers import Warehouse, schema, state
from loader_process import Process, message

from pipeboard_target_postgres.termination import Stopped, StopRequest

S = schema({"id": "integer", "v": "string", "o": "object"})
#: Kubernetes gives 30.
PROMISED_SECONDS = 20


class Loading:
    """A loader process with endless input, and the checks after a signal."""

    def __init__(self, warehouse: Warehouse, folder: Path, **changes: t.Any) -> None:
        self.warehouse, self.report = warehouse, folder / "report.json"
        self.report.unlink(missing_ok=True)
        os.environ["PIPEBOARD_LOADER_REPORT"] = str(self.report)
        self.process = Process(warehouse, folder, **changes)
        del os.environ["PIPEBOARD_LOADER_REPORT"]

    def send(self, end: int = 100_000) -> None:
        def send() -> None:
            with contextlib.suppress(ValueError, OSError):
                self.process.send(S)
                self.process.feed_range(0, end)

        threading.Thread(target=send, daemon=True).start()

    def stop(self, signum: int = signal.SIGTERM) -> float:
        """Send the signal; return how long it took to end."""
        self.process.popen.send_signal(signum)
        began = time.monotonic()
        self.process.popen.wait(PROMISED_SECONDS + 10)
        return time.monotonic() - began

    def check(self, *codes: int) -> dict:
        """Check that all rows of the last state are stored; return the report."""
        for thread in self.process._threads:
            thread.join(10)
        assert self.process.popen.returncode in codes, self.process.text()
        assert "Traceback" not in self.process.text()
        promised = self.process.last_state()
        if promised:
            stored = self.warehouse.one("select count(*) from {s}.s where id < %s", promised)
            assert stored == promised
        report = json.loads(self.report.read_text())
        assert report["exit_code"] == self.process.popen.returncode
        for counts in report["streams"].values():
            assert counts["received"] == counts["inserted"] + counts["updated"] + (
                counts["unchanged"] + counts["quarantined"]
            )
        return report


@pytest.fixture
def start(warehouse: Warehouse, tmp_path: Path) -> Iterator[t.Callable[..., Loading]]:
    made: list[Loading] = []

    def begin(**changes: t.Any) -> Loading:
        made.append(Loading(warehouse, tmp_path, **changes))
        return made[-1]

    yield begin
    for loading in made:
        popen = loading.process.popen
        popen.kill()
        popen.wait()
        for pipe in (popen.stdin, popen.stdout, popen.stderr):
            with contextlib.suppress(OSError):
                t.cast("t.Any", pipe).close()


def test_a_signal_at_random_moments_loses_no_row(start: t.Any) -> None:
    chance = random.Random(int(os.environ.get("PIPEBOARD_TEST_SEED", "7")))
    for _ in range(int(os.environ.get("PIPEBOARD_TEST_SIGNALS", "3"))):
        loading = start()
        loading.send()
        signum = chance.choice([signal.SIGTERM, signal.SIGINT])
        time.sleep(0.15 + chance.random() * 1.5)
        assert loading.stop(signum) < PROMISED_SECONDS
        assert loading.check(128 + signum)["outcome"] == "interrupted"


@pytest.mark.parametrize(
    "harm",
    [
        "alter table {s}.s add constraint never check (false) not valid;"
        " alter table {o}.quarantine add check (false)",
        "drop table {s}.s cascade",
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'pipeboard target-postgres'",
    ],
    ids=["refused everywhere", "table dropped", "connection ended"],
)
def test_a_signal_while_a_load_fails_writes_no_state(
    start: t.Any, warehouse: Warehouse, harm: str
) -> None:
    chance = random.Random(3)
    for _ in range(int(os.environ.get("PIPEBOARD_TEST_SIGNALS", "1"))):
        warehouse.sql("drop schema if exists {s} cascade; drop schema if exists {o} cascade")
        loading = start(reconnect_seconds=0)
        loading.send()
        loading.process.states.get(timeout=30)
        promised = loading.process.last_state()
        time.sleep(chance.random() * 0.1)
        warehouse.sql(harm)
        time.sleep(chance.random() * 0.1)
        loading.stop()
        if harm.startswith("drop"):
            loading.process.popen.wait()
            continue  # the rows of the state were dropped with the table
        loading.check(143, 69, 65, 1)
        assert promised < 100_000


def _wait_for_lock_wait(warehouse: Warehouse) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if warehouse.one("select count(*) from pg_locks where not granted"):
            return
        time.sleep(0.05)
    raise AssertionError("no load has come to wait for the lock")


def test_a_load_that_waits_for_a_lock_is_cancelled(start: t.Any, warehouse: Warehouse) -> None:
    warehouse.load([S])
    with psycopg.connect(warehouse.url) as blocker:
        blocker.execute(t.cast("t.Any", f"lock table {warehouse.schema}.s in exclusive mode"))
        loading = start(batch_wait_seconds=0.1)
        loading.send(2000)
        _wait_for_lock_wait(warehouse)
        assert loading.stop() < PROMISED_SECONDS
        report = loading.check(143)
    assert report["outcome"] == "interrupted"
    assert "its state was not written" in report["message"]
    assert loading.process.last_state() == 0
    assert warehouse.one("select count(*) from {s}.s") == 0


def test_a_load_that_cannot_be_cancelled_ends_with_the_process(
    start: t.Any, warehouse: Warehouse, server: t.Any
) -> None:
    if server is None:
        pytest.skip("the tests did not start the server, so they do not halt it")
    warehouse.load([S])
    loading = start(batch_wait_seconds=0.1)
    loading.send()
    loading.process.states.get(timeout=30)
    name = "pipeboard target-postgres"
    pid = warehouse.one("select pid from pg_stat_activity where application_name = %s", name)
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(0.5)
        assert loading.stop() < PROMISED_SECONDS
    finally:
        os.kill(pid, signal.SIGCONT)
    report = loading.check(143)
    assert report["outcome"] == "interrupted"
    assert "was abandoned" in report["message"]


def test_a_signal_while_a_table_is_prepared_ends_in_time(
    start: t.Any, warehouse: Warehouse
) -> None:
    warehouse.load([S])
    wider = schema({"id": "integer", "v": "string", "o": "object", "w": "string"})
    with psycopg.connect(warehouse.url) as reader:
        reader.execute(t.cast("t.Any", f"select * from {warehouse.schema}.s"))
        loading = start()
        loading.process.send(S, message(0), state({"at": 1}), wider)
        loading.process.wait_for_log("Waiting for a lock")
        assert loading.stop() < PROMISED_SECONDS
        loading.check(143)
    assert warehouse.one("select count(*) from {s}.s") == 1


def test_a_signal_while_the_server_does_not_answer_ends_in_time(
    start: t.Any, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        loading = start(sqlalchemy_url=f"postgresql://u@127.0.0.1:{port}/d")
        loading.process.wait_for_log("Connecting to")
        assert loading.stop() < PROMISED_SECONDS
        assert loading.check(143)["streams"] == {}


def test_a_signal_during_the_imports_ends_the_process(start: t.Any) -> None:
    loading = start()
    time.sleep(0.12)
    loading.stop()
    # Until Python runs the first line of `main`, the system's handler ends the process.
    assert loading.process.popen.returncode in {143, -signal.SIGTERM}


def test_the_second_signal_ends_at_once(start: t.Any, warehouse: Warehouse) -> None:
    warehouse.load([S])
    with psycopg.connect(warehouse.url) as blocker:
        blocker.execute(t.cast("t.Any", f"lock table {warehouse.schema}.s in exclusive mode"))
        loading = start(batch_wait_seconds=0.1)
        loading.send(2000)
        _wait_for_lock_wait(warehouse)
        loading.process.popen.send_signal(signal.SIGTERM)
        loading.process.wait_for_log("then stopping")
        assert loading.stop() < 1
    assert loading.process.last_state() == 0


def test_the_handler_only_sets_a_flag() -> None:
    request = StopRequest()
    request.check()
    before = signal.getsignal(signal.SIGTERM)
    request.install()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped) as raised:
            request.check()
        assert raised.value.exit_code == 143
        assert not isinstance(raised.value, Exception)
    finally:
        request.restore()
    assert signal.getsignal(signal.SIGTERM) == before
    request.check()
