"""The page of dashboards is another room's to make; what it says is handed on, secrets left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeboard.commands.static_dashboard import write_page
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import Environment
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.paths import Paths

URL = "postgresql://me:very-secret-word@127.0.0.1:5432/mine"


def environment(name: str = "own") -> Environment:
    environ = {"PIPEBOARD_DATABASE_URL": URL, "PATH": "/usr/bin:/bin"}
    return Environment(name, "dev", DatabaseUrl.parse(URL), embedded=False, variables=environ)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.delenv("PIPEBOARD_STATE_DIR", raising=False)
    return Paths(tmp_path)


def command(paths: Paths, *lines: str) -> None:
    """Put a command in the place of pipeboard-metabase."""
    paths.binaries.mkdir(parents=True)
    script = paths.binaries / "pipeboard-metabase"
    script.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    script.chmod(0o755)


def test_the_command_gets_its_paths(paths: Paths) -> None:
    command(paths, 'echo "$@"')
    page, complaints = write_page(paths, environment("demo"))
    assert page.split() == [
        *("static-dashboard", "--out", f"{paths.root}/build/dashboard/index.html"),
        *(
            "--cache",
            f"{paths.root}/.pipeboard/look",
            "--node",
            f"{paths.root}/.pipeboard/env/look",
        ),
        "--demo",
    ]
    assert complaints == []
    assert "--demo" not in write_page(paths, environment())[0]


def test_a_page_with_gaps_is_a_page(paths: Paths) -> None:
    command(paths, "echo file:///page", "echo pipeboard-metabase: card x: no >&2", "exit 65")
    assert write_page(paths, environment()) == ("file:///page", ["card x: no"])


def test_no_page_says_why(paths: Paths) -> None:
    command(paths, 'echo "pipeboard-metabase: no $PIPEBOARD_DATABASE_URL" >&2', "exit 69")
    with pytest.raises(PipeboardError) as caught:
        write_page(paths, environment())
    assert caught.value.code == ExitCode.UNAVAILABLE
    assert str(caught.value).startswith("no postgresql://")
    assert "very-secret-word" not in str(caught.value)


def test_no_command_is_no_crash(paths: Paths) -> None:
    with pytest.raises(PipeboardError, match="make look"):
        write_page(paths, environment())


def test_a_state_elsewhere_has_its_page_there(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(paths, 'echo "$3"')
    monkeypatch.setenv("PIPEBOARD_STATE_DIR", str(tmp_path / "state"))
    assert write_page(paths, environment())[0] == f"{tmp_path}/state/build/dashboard/index.html"
