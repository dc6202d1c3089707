"""A fault while metrics are read or sent changes no run: metrics are lost, which a note says."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from pushgateway import pushed, running_gateway
from stand_ins import job, meltano, whole_run

from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import own_environment
from pipeboard.paths import Paths
from pipeboard.run.metrics import PUSH_TIMEOUT_SECONDS
from pipeboard.run.ops import migrate_database
from pipeboard.run.runner import run_job


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[str]:
    with running_gateway(tmp_path / "gateway") as url:
        if not url:
            pytest.skip("prometheus-pushgateway is missing")
        yield url


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the URL of a port; each connection to it is served like that, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as threads:

        def answer(connection: socket.socket) -> None:
            # Either side may have closed it by now.
            with suppress(OSError):
                serve(connection)

        def accept() -> None:
            with ExitStack() as connections, suppress(OSError):
                while True:
                    connection = connections.enter_context(listener.accept()[0])
                    serving = threading.Thread(target=answer, args=(connection,), daemon=True)
                    serving.start()

        thread = threading.Thread(target=accept)
        thread.start()
        threads.callback(thread.join)
        threads.callback(listener.shutdown, socket.SHUT_RDWR)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def garbage(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"no HTTP here\r\n")
    connection.shutdown(socket.SHUT_RDWR)


def silence(connection: socket.socket) -> None:
    connection.recv(65536)


def endless_answer(connection: socket.socket) -> None:
    """Answer a byte now and then, so that no read takes long."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.5)


@contextmanager
def gone() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (gone, "URLError"),
        (lambda: listening(garbage), "BadStatusLine"),
        pytest.param(lambda: listening(silence), "TimeoutError", marks=pytest.mark.nightly),
        pytest.param(
            lambda: listening(endless_answer), "was not done within", marks=pytest.mark.nightly
        ),
    ],
    ids=["gone", "garbage", "silent", "endless"],
)
def test_a_gateway_that_fails_changes_no_run_and_the_next_run_pushes(
    tmp_path: Path, database: DatabaseUrl, capsys: pytest.CaptureFixture[str],
    fault: Callable[[], AbstractContextManager[str]], trouble: str,
) -> None:  # fmt: skip
    migrate_database(database)
    paths, found = Paths(tmp_path), job("sync")
    meltano(paths, *whole_run(found))
    with fault() as url:
        given = {"PUSHGATEWAY_URL": url}
        environment = own_environment(paths, given, database.url, embedded=True)
        outcome = run_job(paths, environment, found, Console())
    assert (outcome.status, outcome.code) == ("succeeded", 0), outcome.reason
    notes = "".join(capsys.readouterr())
    # At the start and at the end.
    assert notes.count("metrics could not be pushed") == 2, notes
    assert trouble in notes
    assert outcome.seconds < 4 * PUSH_TIMEOUT_SECONDS
    with running_gateway(tmp_path / "gateway") as url:
        if not url:
            return
        given = {"PUSHGATEWAY_URL": url}
        environment = own_environment(paths, given, database.url, embedded=True)
        run_job(paths, environment, found, Console())
        assert pushed(url, "runs_total", result="succeeded") == 2
        assert pushed(url, "last_run_status", pipeline="main") == 1


def end_session(pid: int, superuser: psycopg.Connection) -> None:
    superuser.execute("select pg_terminate_backend(%s)", [pid])


def leave_it_waiting(pid: int, superuser: psycopg.Connection) -> None:
    """Hold the lock until the statement is cancelled, after a minute."""
    while superuser.execute(f"{WAITING} and pid = {pid}".encode()).fetchone():
        time.sleep(1)


def stop_session(pid: int, superuser: psycopg.Connection) -> None:
    """Stop the server's process for two seconds."""
    os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(2, os.kill, (pid, signal.SIGCONT))
    timer.start()


WAITING = "select pid from pg_stat_activity where wait_event_type = 'Lock'"


@pytest.mark.parametrize(
    ("strike", "trouble"),
    [
        (end_session, "without those of the warehouse: AdminShutdown"),
        (stop_session, None),
        pytest.param(
            leave_it_waiting,
            "without those of the warehouse: QueryCanceled",
            marks=pytest.mark.nightly,
        ),
    ],
    ids=["session ended", "PostgreSQL silent", "lock held"],
)
def test_a_database_that_fails_while_metrics_are_read_changes_no_run(
    tmp_path: Path, database: DatabaseUrl, superuser: psycopg.Connection, gateway: str,
    capsys: pytest.CaptureFixture[str], strike: Callable[[int, psycopg.Connection], None],
    trouble: str | None,
) -> None:  # fmt: skip
    migrate_database(database)
    paths, found = Paths(tmp_path), job("sync")
    meltano(paths, *whole_run(found))
    given = {"PUSHGATEWAY_URL": gateway}
    environment = own_environment(paths, given, database.url, embedded=True)
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute("create schema marts")
        owner.execute("create table marts.fct_deal (is_deleted bool, history_quality text)")

    def strike_when_it_waits() -> None:
        with psycopg.connect(database.url) as holder:
            holder.execute("lock table marts.fct_deal in access exclusive mode")
            held.set()
            while not (waiting := superuser.execute(WAITING.encode()).fetchone()):
                time.sleep(0.05)
            strike(int(waiting[0]), superuser)

    held = threading.Event()
    striking = threading.Thread(target=strike_when_it_waits)
    striking.start()
    assert held.wait(20)
    outcome = run_job(paths, environment, found, Console())
    striking.join()
    assert (outcome.status, outcome.code) == ("succeeded", 0), outcome.reason
    notes = "".join(capsys.readouterr())
    assert trouble in notes if trouble else "metrics" not in notes, notes
    assert pushed(gateway, "last_run_status", pipeline="main") == 1
    capsys.readouterr()
    assert run_job(paths, environment, found, Console()).status == "succeeded"
    assert "metrics" not in "".join(capsys.readouterr())
    assert pushed(gateway, "runs_total", result="succeeded") == 2
