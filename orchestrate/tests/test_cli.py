from __future__ import annotations

import subprocess
import sys

import pytest

from pipeboard.console import Console


def pipeboard(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeboard", *words],
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["demo", "--help"]])
def test_help_is_help(words: list[str]) -> None:
    outcome = pipeboard(*words)
    assert outcome.returncode == 0
    assert "Usage: pipeboard" in outcome.stdout


@pytest.mark.parametrize("words", [["bogus"], ["run"], ["demo", "--deals", "many"]])
def test_usage_errors_are_64(words: list[str]) -> None:
    assert pipeboard(*words).returncode == 64


def test_a_problem_is_one_line_and_its_code() -> None:
    outcome = pipeboard("run", "sync", PIPEDRIVE_API_TOKEN="")
    assert outcome.returncode == 78
    assert outcome.stderr.startswith("pipeboard: PIPEDRIVE_API_TOKEN is not set. ")
    assert outcome.stderr.count("\n") == 1
    assert outcome.stdout == ""


def test_tables_are_plain_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(["stream", "rows"], [["deals", 12345], ["users", None]])
    assert capsys.readouterr().out == "  stream    rows\n  deals   12,345\n  users        -\n"
