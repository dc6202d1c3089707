from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib import metadata

import psycopg
import pytest
from stand_ins import MEASURED

from pipeboard import cli
from pipeboard.console import Console, JsonConsole, console_for
from pipeboard.local.loopback import free_port


def pipeboard(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeboard", *arguments],
        env={"PATH": "/usr/bin:/bin", **MEASURED, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def exit_code(arguments: list[str]) -> int:
    """Run the command line in this process, where it needs no start of half a second."""
    umask = os.umask(0o022)
    try:
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
    finally:
        os.umask(umask)
    return int(end.value.code or 0)


COMMANDS = ("run", "demo", "backfill", "plan", "history", "status", "doctor", "migrate")


def test_the_program_shows_its_help() -> None:
    outcome = pipeboard("--help")
    assert outcome.returncode == 0
    assert "Usage: pipeboard" in outcome.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code([command, "--help"]) == 0
    assert f"Usage: pipeboard {command}" in capsys.readouterr().out


def test_the_program_shows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["--version"]) == 0
    assert capsys.readouterr().out.endswith(f"version {metadata.version('pipeboard')}\n")


def test_the_program_exits_with_64_after_a_usage_error() -> None:
    assert pipeboard("bogus").returncode == 64


@pytest.mark.parametrize("arguments", [["run"], ["demo", "--deals", "many"]])
def test_usage_errors_are_64(arguments: list[str]) -> None:
    assert exit_code(arguments) == 64


def test_a_problem_is_one_line_and_its_code() -> None:
    outcome = pipeboard("run", "sync", PIPEDRIVE_API_TOKEN="")
    assert outcome.returncode == 78
    assert outcome.stderr.startswith("pipeboard: PIPEDRIVE_API_TOKEN is not set. ")
    assert outcome.stderr.count("\n") == 1
    assert outcome.stdout == ""


def test_a_plan_says_at_once_that_the_account_cannot_be_reached() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    outcome = pipeboard("plan", "sync", PIPEDRIVE_API_TOKEN="token", PIPEDRIVE_API_URL=address)
    assert outcome.returncode == 69
    assert outcome.stderr.startswith(f"pipeboard: {address} cannot be reached")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        psycopg.ProgrammingError("syntax error near Tr0ub4dor-and-3"),
        OSError("Tr0ub4dor-and-3"),
        KeyError("Tr0ub4dor-and-3"),
    ],
)
def test_a_defect_shows_its_traceback_without_secrets(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("PIPEDRIVE_API_TOKEN", "Tr0ub4dor-and-3")
    monkeypatch.setattr(cli.command, "main", fail)
    assert exit_code(["status"]) == 1
    shown = capsys.readouterr().err
    assert type(error).__name__ in shown
    assert "Tr0ub4dor" not in shown


def test_an_interrupt_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.command, "main", interrupt)
    assert exit_code(["status"]) == 130
    assert capsys.readouterr().err == "\npipeboard: interrupted; nothing is lost, run again\n"


def test_an_account_that_is_not_known_is_not_shown() -> None:
    out = io.StringIO()
    cli.greet(Console(out), None)
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backfill", "--history", "--restart"], "neither --streams nor --restart"),
        (["backfill", "--max-deals", "5"], "needs --history"),
    ],
)
def test_options_that_exclude_each_other_are_reported(arguments: list[str], message: str) -> None:
    outcome = pipeboard(*arguments)
    assert (outcome.returncode, message in outcome.stderr) == (64, True), outcome.stderr


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({}, Console),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, JsonConsole),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "PIPEBOARD_LOG_FORMAT": "text"}, Console),
        ({"PIPEBOARD_LOG_FORMAT": "json"}, JsonConsole),
    ],
)
def test_the_reader_decides_the_format(environ: dict[str, str], kind: type) -> None:
    assert type(console_for(environ, io.StringIO())) is kind


def test_json_lines_say_what_happened() -> None:
    out = io.StringIO()
    console = JsonConsole(out)
    console.context["run_id"] = "r1"
    console.heading("for people")
    console.event("run ended", status="failed", rows=5)
    console.pass_on('{"event": "from Meltano", "level": "error"}')
    console.pass_on("Traceback (most recent call last):")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [
        "run ended",
        "from Meltano",
        "Traceback (most recent call last):",
    ]
    assert all(line["run_id"] == "r1" for line in lines)
    assert (lines[0]["rows"], lines[1]["level"]) == (5, "error")


def test_json_lines_have_no_colours() -> None:
    out = io.StringIO()
    console = JsonConsole(out)
    dbt = {"event": "\x1b[0m08:00:00  Done [\x1b[32mOK\x1b[0m]", "name": "dbt"}
    console.pass_on(json.dumps(dbt))
    console.pass_on("\x1b[31mTraceback\x1b[0m\n")
    console.note("log", "\x1b[1mbold\x1b[0m")
    assert "\x1b" not in out.getvalue() and "u001b" not in out.getvalue()
    events = [json.loads(line)["event"] for line in out.getvalue().splitlines()]
    assert events == ["08:00:00  Done [OK]", "Traceback", "bold"]


def test_tables_are_plain_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(["stream", "rows"], [["deals", 12345], ["users", None]])
    assert capsys.readouterr().out == "  stream    rows\n  deals   12,345\n  users        -\n"
