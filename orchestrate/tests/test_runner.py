from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from stand_ins import (
    completed,
    file_lines,
    job,
    loader_report,
    log_lines,
    meltano,
    tap_report,
    whole_run,
)

from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import Environment, own_environment
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local.processes import create_time
from pipeboard.paths import Paths
from pipeboard.run.history import begin, latest, stream_troubles
from pipeboard.run.ops import migrate_database
from pipeboard.run.reporting import CommandScope, report_failures
from pipeboard.run.run_lock import RunLock
from pipeboard.run.runner import run_job


@pytest.fixture
def environment(tmp_path: Path, database: DatabaseUrl) -> Environment:
    migrate_database(database)
    return own_environment(Paths(tmp_path), {}, database.url, embedded=True)


def statuses(environment: Environment) -> list[str]:
    with psycopg.connect(environment.database.url) as connection:
        return [run["status"] for run in latest(connection, 99)]


@pytest.mark.parametrize("second", ["sync", "elt", "sweep", "people"])
def test_a_second_run_of_a_concurrency_group_skips(
    tmp_path: Path, environment: Environment, second: str
) -> None:
    first = RunLock(environment.database, "main", "first")
    assert first.take()
    begin(first.connection, "first", job("sync"), "dev")
    paths, found = Paths(tmp_path), job(second, WAIT="0")
    outcome = run_job(paths, environment, found, Console())
    assert (outcome.status, outcome.code) == ("skipped", 0)
    assert str(outcome.reason).startswith("run first of sync has been running since")
    first.close()
    # The server ends the session of a closed connection a moment later.
    meltano(paths, *whole_run(found))
    outcome = run_job(paths, environment, job(second, WAIT="30"), Console())
    assert outcome.status == "succeeded", outcome.reason
    assert statuses(environment) == ["succeeded", "skipped", "abandoned"]


def test_a_backfill_runs_beside_a_sync(tmp_path: Path, environment: Environment) -> None:
    first = RunLock(environment.database, "main", "first")
    assert first.take()
    found = job("backfill")
    meltano(Paths(tmp_path), *whole_run(found))
    assert run_job(Paths(tmp_path), environment, found, Console()).status == "succeeded"
    first.close()


def test_a_run_knows_its_own_name(tmp_path: Path, environment: Environment) -> None:
    paths = Paths(tmp_path)
    meltano(paths, 'echo "$PIPEBOARD_RUN_ID $PIPEBOARD_PIPELINE $@" > "$PIPEBOARD_RUN_REPORT.seen"')
    outcome = run_job(paths, environment, job("elt"), Console())
    seen = next(paths.report("dev").parent.glob("*.seen")).read_text()
    assert seen.startswith(f"{outcome.run_id} main --env-file")
    assert seen.endswith("--environment=dev run --force elt\n")


def test_reports_of_an_earlier_run_prove_nothing(tmp_path: Path, environment: Environment) -> None:
    paths, found = Paths(tmp_path), job("sync")
    meltano(paths, *whole_run(found))
    assert run_job(paths, environment, found, Console()).status == "succeeded"
    meltano(paths, *log_lines(completed(), completed()))
    outcome = run_job(paths, environment, found, Console())
    assert (outcome.status, outcome.code) == ("failed", 1)
    assert "the tap left no report; the loader left no report; dbt:changed left no report" in str(
        outcome.reason
    )


def test_a_run_beside_it_for_another_database_does_not_take_its_reports(
    tmp_path: Path, environment: Environment
) -> None:
    paths, found = Paths(tmp_path), job("backfill")
    report, loader = paths.report("dev", "backfill"), paths.loader_report("dev", "backfill")
    other = [f"echo '{{}}' > {report}", f"rm -f {loader}"]
    meltano(paths, *whole_run(found), *other)
    outcome = run_job(paths, environment, found, Console())
    assert (outcome.status, outcome.reason) == ("succeeded", None)
    assert {path.name for path in report.parent.iterdir()} == {report.name, loader.name}


def test_a_run_writes_how_each_stream_ended(tmp_path: Path, environment: Environment) -> None:
    paths, found = Paths(tmp_path), job("backfill")
    report = tap_report(found, exit_code=77)
    report["streams"]["notes"] |= {"outcome": "refused", "reason": "403 for /notes", "records": 0}
    loader = loader_report(found)
    loader["streams"]["notes"] |= {"received": 0, "inserted": 0}
    loader["streams"]["deals"] |= {"quarantined": 1, "inserted": 0}
    meltano(
        paths,
        *file_lines('"$PIPEBOARD_RUN_REPORT"', report),
        *file_lines('"$PIPEBOARD_LOADER_REPORT"', loader),
        *log_lines(completed()),
    )
    outcome = run_job(paths, environment, found, Console())
    assert (outcome.status, outcome.code) == ("incomplete", 77), outcome.reason
    assert outcome.reason == "notes: 403 for /notes"
    with psycopg.connect(environment.database.url) as connection:
        rows = {
            row[0]: row[1:]
            for row in connection.execute(
                "select stream, outcome, records_sent, records_received, quarantined, reason "
                "from ops.stream_outcome where run_id = %s",
                [outcome.run_id],
            )
        }
        assert rows.keys() == found.streams
        assert rows["notes"] == ("refused", 0, 0, 0, "403 for /notes")
        assert rows["deals"] == ("complete", 1, 1, 1, None)
        assert [one.stream for one in stream_troubles(connection)] == ["notes"]


def test_what_cannot_begin_is_a_failed_run_too(tmp_path: Path, environment: Environment) -> None:
    def refuse() -> None:
        what = "the token is wrong"
        raise PipeboardError(what, "Copy it again", ExitCode.NOT_PERMITTED)

    with pytest.raises(PipeboardError, match="the token is wrong"):
        run_job(Paths(tmp_path), environment, job("sync"), Console(), before=refuse)
    with pytest.raises(PipeboardError, match="does not start"):
        run_job(Paths(tmp_path), environment, job("sync"), Console())
    with psycopg.connect(environment.database.url) as connection:
        found = [(r["status"], r["exit_code"], r["failed_stage"]) for r in latest(connection, 9)]
    assert found == [("failed", 78, "preflight"), ("failed", 77, "preflight")]


def test_an_interrupted_wait_is_no_good_run(tmp_path: Path, environment: Environment) -> None:
    first = RunLock(environment.database, "main", "first")
    assert first.take()

    class Interrupting(Console):
        """Shows that a run waits, and interrupts it."""

        def progress(self, name: str, text: str, seconds: float) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    outcome = run_job(Paths(tmp_path), environment, job("sweep"), Interrupting())
    assert (outcome.status, outcome.code) == ("interrupted", 143)
    assert outcome.seconds < 30
    first.close()


@pytest.mark.parametrize(
    ("limit", "text"),
    [("TIMEOUT", "not done within 1 s"), ("STALL", "no progress for 1 s")],
)
def test_what_takes_too_long_is_ended(
    tmp_path: Path, environment: Environment, limit: str, text: str
) -> None:
    meltano(Paths(tmp_path), "exec sleep 300")
    found = job("sync", **{limit: "1"})
    outcome = run_job(Paths(tmp_path), environment, found, Console())
    assert (outcome.status, outcome.code) == ("failed", 69)
    assert text in str(outcome.reason)
    assert outcome.seconds < 30


def killed(name: str) -> list[str]:
    """Return the lines of a script that starts something, and is killed."""
    return ["sleep 300 &", f"kill -{name} $$"]


@pytest.mark.parametrize(
    ("script", "code", "part", "text"),
    [
        (killed("KILL"), 69, "meltano", "meltano was killed by signal 9 (SIGKILL), probably out"),
        (killed("TERM"), 69, "meltano", "meltano was ended by signal 15 (SIGTERM)"),
        (["exit 0"], 1, "meltano", "no proof of success: Meltano completed 0 of 2 steps"),
        (
            log_lines({"event": "", "exception": [{"exc_type": "BrokenPipeError"}]}) + ["exit 1"],
            69,
            "target-postgres",
            "target-postgres was killed by signal 9 (SIGKILL), probably out of memory",
        ),
    ],
)
def test_an_ended_meltano_is_a_failed_run(
    tmp_path: Path, environment: Environment, script: list[str], code: int, part: str, text: str
) -> None:
    meltano(Paths(tmp_path), *script)
    outcome = run_job(Paths(tmp_path), environment, job("sync"), Console())
    assert (outcome.status, outcome.code, outcome.part) == ("failed", code, part)
    assert text in str(outcome.reason)


def test_a_signal_to_the_supervisor_interrupts_the_run(
    tmp_path: Path, environment: Environment
) -> None:
    meltano(Paths(tmp_path), f"kill -INT {os.getpid()}", "exec sleep 300")
    outcome = run_job(Paths(tmp_path), environment, job("sync"), Console())
    assert (outcome.status, outcome.code) == ("interrupted", 130)
    assert outcome.reason == "interrupted by SIGINT"
    assert statuses(environment) == ["interrupted"]


def test_a_command_that_closes_its_output_is_still_limited(
    tmp_path: Path, environment: Environment
) -> None:
    meltano(Paths(tmp_path), "exec > /dev/null 2>&1", "exec sleep 300")
    outcome = run_job(Paths(tmp_path), environment, job("sync", TIMEOUT="1"), Console())
    assert (outcome.status, outcome.code) == ("failed", 69)
    assert "not done within 1 s" in str(outcome.reason)
    assert outcome.seconds < 30


def test_a_full_disk_ends_the_log_and_not_the_run(
    tmp_path: Path,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths, found = Paths(tmp_path), job("sync")
    meltano(paths, *whole_run(found))
    paths.logs.mkdir(parents=True)
    monkeypatch.setattr("pipeboard.run.runner._Run._log_file", lambda _self: Path("/dev/full"))
    outcome = run_job(paths, environment, found, Console())
    assert outcome.status == "succeeded", outcome.reason
    assert "/dev/full ends here: No space left on device" in capsys.readouterr().out


def test_an_error_of_the_machine_is_one_row_of_history(
    tmp_path: Path, environment: Environment
) -> None:
    def no_room() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/a/log")

    scope = CommandScope(job("sync"), Console(), environment.variables, environment=environment)
    with pytest.raises(PipeboardError, match="no space is left for /a/log"), report_failures(scope):
        run_job(Paths(tmp_path), environment, job("sync"), Console(), before=no_room)
    with psycopg.connect(environment.database.url) as connection:
        found = [(r["status"], r["exit_code"], r["failed_stage"]) for r in latest(connection, 9)]
    assert found == [("failed", 69, "preflight")]


def test_a_signal_after_the_end_of_a_run_is_no_second_run(
    tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = RunLock.close

    def close_and_receive_sigterm(lock: RunLock) -> None:
        close(lock)
        sys.exit(143)

    found = job("sync")
    meltano(Paths(tmp_path), *whole_run(found))
    monkeypatch.setattr(RunLock, "close", close_and_receive_sigterm)
    scope = CommandScope(found, Console(), environment.variables, environment=environment)
    with pytest.raises(SystemExit), report_failures(scope):
        run_job(Paths(tmp_path), environment, found, Console())
    assert statuses(environment) == ["succeeded"]


def test_an_error_in_the_supervisor_is_recorded_and_ends_meltano(
    tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    meltano(Paths(tmp_path), f"echo $$ > {tmp_path}/pid", "echo line", "exec sleep 300")

    def broken(*_: Any) -> None:
        message = "an internal error"
        raise RuntimeError(message)

    monkeypatch.setattr("pipeboard.run.run_log.RunLog.read", broken)
    with pytest.raises(RuntimeError, match="an internal error"):
        run_job(Paths(tmp_path), environment, job("sync"), Console())
    with psycopg.connect(environment.database.url) as connection:
        (run,) = latest(connection, 9)
    assert (run["status"], run["exit_code"], run["failed_stage"]) == ("failed", 1, "pipeboard")
    assert run["reason"] == "RuntimeError: an internal error"
    assert create_time(int((tmp_path / "pid").read_text())) is None


def away(started: Path, superuser: psycopg.Connection, *statements: str) -> None:
    """Once Meltano has made this file, execute these and end its supervisor's sessions."""
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for statement in statements:
        superuser.execute(statement.encode())
    superuser.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name like 'pipeboard 2%'"
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the database all the time, and wait for it for a second."""
    monkeypatch.setattr("pipeboard.run.watch.BEAT", 0.1)
    monkeypatch.setattr("pipeboard.run.watch.DATABASE_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr("pipeboard.run.session.DATABASE_WAIT_SECONDS", 1.0)


@pytest.mark.usefixtures("quick")
def test_a_run_goes_on_after_the_database_was_away(
    tmp_path: Path, environment: Environment, superuser: psycopg.Connection
) -> None:
    out, found = io.StringIO(), job("sync")
    meltano(Paths(tmp_path), f"touch {tmp_path}/started", "sleep 3", *whole_run(found))
    thread = threading.Thread(target=away, args=(tmp_path / "started", superuser))
    thread.start()
    outcome = run_job(Paths(tmp_path), environment, found, Console(out))
    thread.join()
    assert outcome.status == "succeeded", outcome.reason
    assert "database      went away; waiting up to 1 s for it" in out.getvalue()
    assert statuses(environment) == ["succeeded"]


@pytest.mark.usefixtures("quick")
def test_a_run_ends_when_another_one_took_over_while_the_database_was_away(
    tmp_path: Path, environment: Environment, superuser: psycopg.Connection
) -> None:
    meltano(Paths(tmp_path), f"echo $$ > {tmp_path}/started", "exec sleep 300")
    taken = "update ops.etl_run set status = 'abandoned', finished_at = now()"
    thread = threading.Thread(target=away, args=(tmp_path / "started", superuser, taken))
    thread.start()
    outcome = run_job(Paths(tmp_path), environment, job("sync"), Console(io.StringIO()))
    thread.join()
    assert (outcome.status, outcome.code) == ("failed", 69)
    assert outcome.reason == "another run took over while the database was away"
    assert create_time(int((tmp_path / "started").read_text())) is None


@pytest.mark.usefixtures("quick")
def test_a_run_ends_when_the_database_stays_away(
    tmp_path: Path, environment: Environment, superuser: psycopg.Connection
) -> None:
    out = io.StringIO()
    meltano(Paths(tmp_path), f"touch {tmp_path}/started", "exec sleep 300")
    closed = "alter role pipeboard nologin"
    thread = threading.Thread(target=away, args=(tmp_path / "started", superuser, closed))
    thread.start()
    try:
        outcome = run_job(Paths(tmp_path), environment, job("sync"), Console(out))
    finally:
        thread.join()
        superuser.execute("alter role pipeboard login")
    assert (outcome.status, outcome.code) == ("failed", 69)
    assert outcome.reason == "the database stayed away, and the lock with it"
    assert "history       waiting up to 1 s for the database, to record the end" in out.getvalue()
    assert "history       could not be written: " in out.getvalue()
    assert statuses(environment) == ["abandoned"]


@pytest.mark.usefixtures("quick")
def test_an_error_while_the_database_is_away_is_worth_another_try(
    tmp_path: Path, environment: Environment, superuser: psycopg.Connection
) -> None:
    """dbt and Meltano end with 1 then, which alone would mean an error of another kind."""
    failed = {"event": "the connection was closed", "level": "error"}
    script = [f"touch {tmp_path}/started", "sleep 2", *log_lines(failed), "exit 1"]
    meltano(Paths(tmp_path), *script)
    thread = threading.Thread(target=away, args=(tmp_path / "started", superuser))
    thread.start()
    outcome = run_job(Paths(tmp_path), environment, job("sync"), Console(io.StringIO()))
    thread.join()
    assert (outcome.status, outcome.code) == ("failed", 69)
    assert str(outcome.reason).startswith("the database went away: ")


def test_a_second_signal_kills_the_run(tmp_path: Path, environment: Environment) -> None:
    interrupt = f"kill -INT {os.getpid()}"
    script = ["trap '' TERM", interrupt, "sleep 2", interrupt, "while true; do sleep 1; done"]
    meltano(Paths(tmp_path), *script)
    outcome = run_job(Paths(tmp_path), environment, job("sync"), Console())
    assert (outcome.status, outcome.code) == ("interrupted", 130)
    assert outcome.seconds < 19, "it does not wait for the grace"


def test_a_lost_watchdog_ends_the_run(tmp_path: Path, environment: Environment) -> None:
    class Reader(Console):
        """Lets the script go on once its output is read."""

        def pass_on(self, line: str) -> None:
            (tmp_path / "read").touch()

    wait = f"while [ ! -e {tmp_path}/read ]; do sleep 0.1; done"
    meltano(Paths(tmp_path), "echo line", wait, "kill -9 $PPID", "exec sleep 300")
    outcome = run_job(Paths(tmp_path), environment, job("sync"), Reader())
    assert (outcome.status, outcome.code) == ("failed", 69)
    assert outcome.reason == "its watchdog was killed"
    assert outcome.seconds < 60


def test_the_newest_logs_are_stored(
    tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, found = Paths(tmp_path), job("sync")
    paths.logs.mkdir(parents=True)
    for number in range(3):
        (paths.logs / f"2020010{number}T000000-dev-sync-1.jsonl").touch()
    monkeypatch.setattr("pipeboard.run.runner.MAX_LOGS", 2)
    meltano(paths, *whole_run(found))
    outcome = run_job(paths, environment, found, Console())
    logs = sorted(path.name for path in paths.logs.glob("*.jsonl"))
    assert len(logs) == 2
    assert logs[0] == "20200102T000000-dev-sync-1.jsonl"
    assert outcome.log_file is not None and outcome.log_file.name == logs[1]
