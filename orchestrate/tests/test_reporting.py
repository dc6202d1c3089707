"""Errors before a run has its lock are reported to history and metrics."""

from __future__ import annotations

import errno
import fcntl
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from pushgateway import direct, pushed, running_gateway
from stand_ins import MEASURED, ROOT

from pipeboard.database_url import DatabaseUrl
from pipeboard.errors import ExitCode
from pipeboard.run.history import latest
from pipeboard.run.reporting import as_pipeboard_error
from pipeboard.run.run_metrics import exists


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as url:
        yield url


@dataclass
class Command:
    """`pipeboard` with settings and local state of its own."""

    state: Path
    environ: dict[str, str]

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        hidden = ("PIPEDRIVE_API_TOKEN", "PIPEDRIVE_API_URL", "PIPEDRIVE_COMPANY_DOMAIN")
        return subprocess.Popen(
            [sys.executable, "-m", "pipeboard", *arguments],
            cwd=ROOT,
            env={
                "PATH": "/usr/bin:/bin",
                **MEASURED,
                **dict.fromkeys((*hidden, "PIPEBOARD_DATABASE_URL", "REDIS_URL"), ""),
                "PIPEBOARD_STATE_DIR": str(self.state),
                **self.environ,
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environ: str) -> tuple[int, str]:
        process = self.start(*arguments, **environ)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in out + err, err
        return process.returncode, err


@pytest.fixture
def command(tmp_path: Path, gateway: str) -> Command:
    given = {"PIPEDRIVE_API_TOKEN": "token", "PIPEDRIVE_API_URL": "http://127.0.0.1:9"}
    if gateway:
        _clear(gateway)
        given["PUSHGATEWAY_URL"] = gateway
    return Command(tmp_path / "state", given)


def _clear(gateway: str) -> None:
    for pipeline in ("main", "backfill", "tune"):
        url = f"{gateway}/metrics/job/pipedrive_etl/pipeline/{pipeline}"
        direct.open(urllib.request.Request(url, method="DELETE"), timeout=5).close()


def check_pushed(gateway: str, status: str, code: int, pipeline: str = "main") -> None:
    if gateway:
        assert pushed(gateway, "last_run_exit_code", pipeline=pipeline) == code
        assert pushed(gateway, "last_run_outcome", pipeline=pipeline, outcome=status) == 1
        assert pushed(gateway, "last_run_status", pipeline=pipeline) == 0
        end_time = pushed(
            gateway, "last_completion_timestamp_seconds", pipeline=pipeline, result=status
        )
        began = pushed(gateway, "last_run_timestamp_seconds", pipeline=pipeline)
        assert end_time and began and end_time >= began, "else it would look as if it hung"


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a database whose port takes connections, and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        yield f"postgresql://a:b@127.0.0.1:{listener.getsockname()[1]}/c"


@pytest.mark.parametrize(
    ("arguments", "pipeline"),
    [
        (["run", "sync"], "main"),
        (["run", "sweep"], "sweep"),
        (["backfill", "--yes"], "backfill"),
        (["tune"], "tune"),
    ],
)
def test_a_closed_port_is_reported_to_metrics(
    command: Command, gateway: str, arguments: list[str], pipeline: str
) -> None:
    code, err = command.run(*arguments, PIPEBOARD_DATABASE_URL="postgresql://a:b@127.0.0.1:9/c")
    assert (code, err.count("\n")) == (69, 1), err
    assert "cannot be reached" in err
    check_pushed(gateway, "failed", 69, pipeline)


def test_a_wrong_password_is_reported_to_metrics(
    command: Command, gateway: str, database: DatabaseUrl
) -> None:
    wrong = database.url.replace(database.password, "wrong")
    code, err = command.run("run", "sync", PIPEBOARD_DATABASE_URL=wrong)
    assert (code, err.count("\n")) == (77, 1), err
    check_pushed(gateway, "failed", 77)


def test_a_database_that_never_answers_ends_the_wait(
    command: Command, gateway: str, silent: str
) -> None:
    began = time.monotonic()
    code, err = command.run("run", "sync", PIPEBOARD_DATABASE_URL=silent)
    assert code == 69, err
    assert time.monotonic() - began < 40
    check_pushed(gateway, "failed", 69)


def test_sigterm_during_preparation_is_an_interrupted_run(command: Command, gateway: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://a:b@127.0.0.1:{silent.getsockname()[1]}/c"
        process = command.start("run", "sync", PIPEBOARD_DATABASE_URL=url)
        silent.settimeout(60)
        connection, _ = silent.accept()  # it waits for the database now
        with connection:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    assert process.returncode == 143
    check_pushed(gateway, "interrupted", 143)


def rows(database: DatabaseUrl) -> list[tuple[str, int, str, str]]:
    with psycopg.connect(database.url) as connection:
        if not exists(connection, "ops.etl_run"):
            return []
        keys = ("status", "exit_code", "failed_stage", "reason")
        return [tuple(run[key] for key in keys) for run in latest(connection, 9)]


def test_a_missing_setting_is_reported_to_history(
    command: Command, gateway: str, database: DatabaseUrl
) -> None:
    code, err = command.run(
        "run", "sync", PIPEDRIVE_API_TOKEN="", PIPEBOARD_DATABASE_URL=database.url
    )
    assert code == 78
    ((status, code_of_row, stage, reason),) = rows(database)
    assert (status, code_of_row, stage) == ("failed", 78, "preflight")
    assert reason.startswith("PIPEDRIVE_API_TOKEN is not set")
    check_pushed(gateway, "failed", 78)
    assert "PIPEDRIVE_API_TOKEN is not set" in err


def test_an_unwritable_state_folder_is_reported(
    command: Command, gateway: str, database: DatabaseUrl
) -> None:
    command.state.write_text("a file in the way")
    code, err = command.run("run", "sync", PIPEBOARD_DATABASE_URL=database.url)
    assert (code, err.count("\n")) == (78, 1), err
    ((status, code_of_row, _, reason),) = rows(database)
    assert (status, code_of_row) == ("failed", 78)
    assert str(command.state) in reason
    check_pushed(gateway, "failed", 78)


def test_a_failed_migration_is_reported(
    command: Command, gateway: str, database: DatabaseUrl, superuser: psycopg.Connection
) -> None:
    superuser.execute("create schema ops")
    code, err = command.run("run", "sync", PIPEBOARD_DATABASE_URL=database.url)
    assert (code, err.count("\n")) == (77, 1), err
    check_pushed(gateway, "failed", 77)


def test_an_unreachable_api_is_one_row_of_history(
    command: Command, gateway: str, database: DatabaseUrl
) -> None:
    code, err = command.run("run", "sync", PIPEBOARD_DATABASE_URL=database.url)
    assert code == 69, err
    assert [row[:3] for row in rows(database)] == [("failed", 69, "preflight")]
    check_pushed(gateway, "failed", 69)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["run", "nosuchjob"], "meltano.yml has no job nosuchjob. There are sync, elt, reference"),
        (["plan", "nosuchjob"], "meltano.yml has no job nosuchjob"),
        (["backfill", "--streams", "dealz"], "no stream of this job is called dealz. There are"),
        (["tune", "--sizes", "many"], "--sizes is 'many'"),
    ],
)
def test_a_wrong_command_line_exits_with_64_and_is_not_reported(
    command: Command, gateway: str, database: DatabaseUrl, arguments: list[str], names: str
) -> None:
    began = time.monotonic()
    code, err = command.run(*arguments, PIPEBOARD_DATABASE_URL=database.url)
    assert (code, err.count("\n")) == (64, 1), err
    assert names in err
    assert time.monotonic() - began < 10
    assert rows(database) == []
    if gateway:
        assert pushed(gateway, "last_run_exit_code", pipeline="main") is None


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), 69, "no space is left for /a/b"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 69, "no space is left"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), 78, "/a/b cannot be used"),
        (OSError(errno.EROFS, "Read-only file system", "/a"), 78, "/a cannot be used: Read-only"),
        (ConnectionResetError("reset"), 69, "ConnectionResetError: reset"),
        (psycopg.errors.DiskFull("could not extend file"), 69, "could not extend file"),
        (psycopg.errors.InsufficientPrivilege("for table x"), 77, "for table x"),
    ],
)
def test_errors_of_machine_and_database_have_a_code_and_a_line(
    error: Exception, code: ExitCode, text: str
) -> None:
    found = as_pipeboard_error(error)
    assert found is not None
    assert found.code == code
    assert text in found.what
    assert as_pipeboard_error(KeyError("x")) is None


def test_prefect_beside_another_schedule_is_refused_before_anything_starts(
    command: Command,
) -> None:
    lock = command.state / "up" / "demo" / "schedule.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        held.write("pipeboard")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        code, err = command.run("prefect", "--demo")
    assert code == 69
    assert "`make up` has the schedule of the demo environment already. End it first" in err
    assert not (command.state / "prefect").exists()
    assert not (command.state / "postgres").exists()
