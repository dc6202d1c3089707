"""Commands in this process, in a checkout of their own with an account, a database, no .env."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import psycopg
import pytest
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from stand_ins import ROOT, job, meltano

from pipeboard import cli
from pipeboard.commands.tune import JOB
from pipeboard.database_url import DatabaseUrl
from pipeboard.local.postgres_binaries import Binaries
from pipeboard.run.history import End, begin, finish, measured_batch_size
from pipeboard.run.ops import migrate_database

Command = Callable[..., int]
PLANNED = """\
stream    calls  tokens  how sure
deals         2      30  exact

Budget: 60,000 tokens a day, of which this job may use 70%.
"""


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with running_simulator(deals=20) as running:
        yield running


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith(("PIPEDRIVE_", "PIPEBOARD_", "MELTANO_", "TAP_", "TARGET_")):
            monkeypatch.delenv(name)
    root = tmp_path / "checkout"
    (root / "transform").mkdir(parents=True)
    (root / "meltano.yml").write_bytes((ROOT / "meltano.yml").read_bytes())
    (root / "k8s").symlink_to(ROOT / "k8s")
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(root))
    return root


@pytest.fixture
def run(checkout: Path) -> Command:
    """Run a command line; return its exit code."""

    def command(*arguments: str) -> int:
        umask = os.umask(0o022)
        try:
            with pytest.raises(SystemExit) as end:
                cli.main(list(arguments))
        finally:
            os.umask(umask)
        return int(end.value.code or 0)

    return command


@pytest.fixture
def account(
    checkout: Path,
    database: DatabaseUrl,
    simulator: RunningSimulator,
    monkeypatch: pytest.MonkeyPatch,
) -> DatabaseUrl:
    """The variables of an account and its database."""
    monkeypatch.setenv("PIPEDRIVE_API_TOKEN", simulator.token)
    monkeypatch.setenv("PIPEDRIVE_API_URL", simulator.url)
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", database.url)
    return database


def become(*arguments: str) -> str:
    """Run a command line that ends as another program; return what that prints."""
    command = [sys.executable, "-m", "pipeboard", *arguments]
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True).stdout


def recorded(database: DatabaseUrl) -> None:
    migrate_database(database)
    with psycopg.connect(database.url) as connection:
        begin(connection, "first", job("sync"), "dev")
        finish(connection, "first", End("failed", 1, "x" * 90, "dbt"))


def test_migrate_says_whether_there_was_anything_to_do(
    run: Command, account: DatabaseUrl, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("migrate") == 0
    assert "migrate       schema ops is up to date\n" in capsys.readouterr().out
    assert run("migrate") == 0
    assert "migrate       schema ops is up to date already\n" in capsys.readouterr().out


def test_history_is_a_table_or_json_lines(
    run: Command, account: DatabaseUrl, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("history") == 0
    assert capsys.readouterr().out == "no run yet\n"
    recorded(account)
    assert run("history", "--pipeline", "main") == 0
    assert f"dbt: {'x' * 64}…" in capsys.readouterr().out
    assert run("history", "--json") == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["run_id"], line["exit_code"]) == ("first", 1)
    assert line["started_at"].endswith("+00:00")
    assert run("history", "--pipeline", "sweep") == 0
    assert capsys.readouterr().out == "no run yet\n"


def test_a_database_that_is_not_there_has_no_history(
    run: Command,
    account: DatabaseUrl,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", account.url.replace("/test", "/absent"))
    assert run("history") == 0
    assert capsys.readouterr().out == "no run yet\n"
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", "postgresql://a:b@127.0.0.1:9/c")
    assert run("history") == 69
    assert "the database cannot be reached" in capsys.readouterr().err
    assert run("status") == 0
    assert "own environment not reachable: " in capsys.readouterr().out


def test_history_of_the_demo_is_named_where_only_the_demo_has_runs(
    run: Command,
    binaries: Binaries,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PIPEBOARD_POSTGRES_BIN", str(binaries.folder))
    try:
        assert run("history", "--demo") == 0
        assert capsys.readouterr().out == "no run yet\n"
        found = cli.Services(cli.find_paths()).postgres.urls("pipeboard_demo")
        assert found is not None
        recorded(DatabaseUrl(found["pipeboard_demo"]))
        assert run("history") == 0
        assert "The demo has runs: `make history DEMO=1`" in capsys.readouterr().out
        assert run("status") == 0
        output = capsys.readouterr().out
        assert "postgres      embedded, on 127.0.0.1:" in output
        assert "Last runs of the demo environment" in output
        assert "Connect: psql 'postgresql://pipeboard:" in output
    finally:
        assert run("stop", "--forget") == 0
    output = capsys.readouterr().out
    assert "stopped the embedded PostgreSQL" in output
    assert "deleted the embedded databases" in output
    assert not (checkout / ".pipeboard" / "postgres").exists()
    assert run("stop") == 0
    assert capsys.readouterr().out == "nothing was running\n"


def test_status_shows_raw_tables_and_missing_histories(
    run: Command, account: DatabaseUrl, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(account.url) as connection:
        connection.execute(
            """
            create schema pipedrive;
            create table pipedrive.deals (
                id bigint, status text, stage_change_time timestamptz, _sdc_batched_at timestamptz
            );
            create table pipedrive.deal_changelog_sync (
                deal_id bigint, synced_through timestamptz
            );
            insert into pipedrive.deals values (1, 'open', now(), '2026-01-02 03:04Z')
            """
        )
    migrate_database(account)
    assert run("status") == 0
    output = capsys.readouterr().out
    assert "1 deals whose history was not read yet" in output
    assert "  deals     1  2026-01-02 03:04   -" in output


def test_roles_can_be_printed_for_psql(run: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("roles", "--print") == 0
    assert "create role" in capsys.readouterr().out


def test_a_plan_shows_what_the_tap_estimates(
    run: Command, account: DatabaseUrl, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = cli.find_paths()
    (checkout / "plan").write_text(PLANNED)
    state = '{"completed": {"singer_state": {"bookmarks": {"deals": {}}}}}'
    meltano(
        paths,
        f"case \"$*\" in *'state get'*) echo '{state}' ;; *--plan*) cat {checkout}/plan ;; esac",
    )
    assert run("plan", "sync") == 0
    output = capsys.readouterr().out
    assert "It may use 42,000 tokens a day: about 1 day." in output
    assert list((checkout / ".pipeboard" / "plans").glob("*-sync.*.json"))
    assert run("plan", "build") == 64
    assert "asks Pipedrive for nothing" in capsys.readouterr().err
    meltano(paths, "echo first >&2", "echo no token >&2", "exit 77")
    assert run("plan", "sync") == 77
    assert "the plan could not be made: no token" in capsys.readouterr().err


def test_a_plan_that_takes_too_long_is_ended(
    run: Command,
    account: DatabaseUrl,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pipeboard.commands.plan.TIMEOUT_SECONDS", 1.0)
    meltano(cli.find_paths(), "exec sleep 60")
    assert run("plan", "sync") == 69
    assert "the plan could not be made within 1 s" in capsys.readouterr().err


def test_a_measured_batch_size_can_be_forgotten(run: Command, account: DatabaseUrl) -> None:
    migrate_database(account)
    with psycopg.connect(account.url, autocommit=True) as connection:
        begin(connection, "first", JOB, "dev")
        details = {"tuning": {"batch_size_rows": 500}}
        finish(connection, "first", End("succeeded", 0, details=details))
        assert measured_batch_size(connection, "dev") == 500
        assert run("tune", "--reset") == 0
        assert measured_batch_size(connection, "dev") is None
    assert run("tune", "--rows", "1000", "--sizes", "1000") == 78, "there are no deals yet"


def test_a_backfill_of_histories_before_the_first_sync(
    run: Command, account: DatabaseUrl, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("backfill", "--history", "--yes", "--no-build", "--from", "2026-01-01") == 0
    output = capsys.readouterr().out
    assert "Run `make sync` first: it says which deals there are." in output
    assert run("backfill", "--history", "--restart") == 64
    assert run("backfill", "--max-deals", "3") == 64


def test_env_shows_what_an_environment_sets(
    run: Command, account: DatabaseUrl, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("env") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "export MELTANO_ENVIRONMENT=dev" in lines
    assert not any(line.startswith("export PATH=") for line in lines)
    assert run("env", "--", "no-such-command") == 64
    assert "no-such-command is no command here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "given"),
    [
        (["printenv", "MELTANO_ENVIRONMENT"], []),
        (["meltano", "run", "sync"], ["--env-file", "{root}/.pipeboard/no.env", "run", "sync"]),
        (["meltano", "--version"], ["--env-file", "{root}/.pipeboard/no.env", "--version"]),
    ],
)
def test_env_becomes_the_command(
    account: DatabaseUrl,
    checkout: Path,
    line: list[str],
    given: list[str],
) -> None:
    meltano(cli.find_paths(), 'echo "$MELTANO_ENVIRONMENT" "$@"')
    output = become("env", "--", *line)
    assert output.startswith("dev")
    for word in given:
        assert word.replace("{root}", str(checkout)).rpartition("/")[2] in output
    if line == ["meltano", "run", "sync"]:
        with psycopg.connect(account.url) as connection:
            found = connection.execute("select to_regnamespace('meltano')").fetchone()
        assert found == ("meltano",), "Meltano finds a schema for its state"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], False),
        (["dbt", "--environment=demo"], False),
        (["meltano", "--environment=demo", "run"], True),
        (["meltano", "--environment", "demo"], True),
        (["meltano", "run", "demo"], False),
    ],
)
def test_a_command_of_meltano_may_name_the_demo(line: list[str], expected: bool) -> None:
    assert cli.means_demo(line) is expected


def test_the_metrics_server_that_is_not_installed_names_the_remedy(
    run: Command, account: DatabaseUrl, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("metrics-server") == 78
    assert "bootstrap.py metrics" in capsys.readouterr().err
    server = cli.find_paths().environment("metrics") / "bin" / "query-exporter"
    server.parent.mkdir(parents=True)
    server.write_text('#!/bin/sh\necho "$@" "$PIPEBOARD_METRICS_DSN" "$PIPEBOARD_DATABASE_URL"\n')
    server.chmod(0o755)
    assert run("metrics-server", "--queries", str(checkout / "absent.yml")) == 78
    assert "absent.yml. Name another one by --queries" in capsys.readouterr().err


def test_the_metrics_server_gets_one_database_and_no_other_secret(
    account: DatabaseUrl, checkout: Path
) -> None:
    server = cli.find_paths().environment("metrics") / "bin" / "query-exporter"
    server.parent.mkdir(parents=True)
    server.write_text('#!/bin/sh\necho "$@" "$PIPEBOARD_METRICS_DSN" "<$PIPEDRIVE_API_TOKEN>"\n')
    server.chmod(0o755)
    queries = checkout / "queries.yml"
    queries.touch()
    output = become("metrics-server", "--port", "9999", "--queries", str(queries))
    assert f"--config {queries} --host 127.0.0.1 --port 9999 --log-format json" in output
    assert f"/{account.database}" in output
    assert output.endswith("<>\n")


def test_an_interrupted_question_is_no_error(
    run: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def aborted(*_: object) -> None:
        raise click.Abort

    monkeypatch.setattr(cli, "show_status", aborted)
    assert run("status") == 130
    assert "nothing is lost, run again" in capsys.readouterr().err


def test_an_unknown_error_shows_no_secret(
    run: Command,
    account: DatabaseUrl,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(account.url)

    monkeypatch.setattr(cli, "show_status", broken)
    assert run("status") == 1
    error = capsys.readouterr().err
    assert "RuntimeError: postgresql://" in error
    assert account.password not in error
