"""Nothing is discarded before the request was checked and, where a person is there, confirmed."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from datetime import date
from pathlib import Path

import psycopg
import pytest
from stand_ins import (
    ROOT,
    completed,
    file_lines,
    job,
    loader_report,
    log_lines,
    meltano,
    tap_report,
)

from pipeboard.commands.backfill import Backfiller, check_streams
from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import OWN, own_environment
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.paths import Paths
from pipeboard.run.ops import migrate_database

#: The lines of a script that answers the questions for a plan.
PLAN = [
    'case "$*" in',
    "*' state '*) echo '{}'; exit 0;;",
    "*' invoke '*) echo 'deals  1  10  exact'; echo 'notes  1  10  exact'; exit 0;;",
    "esac",
]


@pytest.fixture
def filler(tmp_path: Path, database: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> Backfiller:
    migrate_database(database)
    (tmp_path / "meltano.yml").write_text((ROOT / "meltano.yml").read_text())
    paths = Paths(tmp_path)
    environment = own_environment(paths, {}, database.url, embedded=True)
    return Backfiller(paths, environment, {}, Console(), lambda: None, yes=False, builds=False)


def open_ones(database: DatabaseUrl) -> list[tuple[str, list[str]]]:
    with psycopg.connect(database.url) as connection:
        return connection.execute(
            "select backfill_id, streams from ops.backfill where finished_at is null"
        ).fetchall()


def open_one(database: DatabaseUrl) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute(
            "insert into ops.backfill (backfill_id, environment, streams) "
            "values ('old', 'dev', '{notes}')"
        )


@pytest.mark.parametrize("restart", [False, True])
def test_answering_no_discards_nothing(
    filler: Backfiller, database: DatabaseUrl, monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    open_one(database)
    meltano(filler.paths, *PLAN, "exit 1")
    monkeypatch.setattr(Backfiller, "_agreed", lambda _: False)
    result = filler.full(["notes"] if restart else ["deals"], None, restart=restart)
    assert result == ("skipped", 0)
    assert open_ones(database) == [("old", ["notes"])]


def test_a_plan_that_fails_discards_nothing(filler: Backfiller, database: DatabaseUrl) -> None:
    open_one(database)
    meltano(filler.paths, "exit 69")
    with pytest.raises(PipeboardError, match="the plan could not be made"):
        filler.full(["deals"], date(2026, 1, 1), restart=False)
    assert open_ones(database) == [("old", ["notes"])]


def test_answering_yes_discards_the_old_backfill(filler: Backfiller, database: DatabaseUrl) -> None:
    open_one(database)
    found = job("backfill")
    report, loader = tap_report(found), loader_report(found)
    for one in (report, loader):
        one["streams"] = {"deals": one["streams"]["deals"]}
    meltano(
        filler.paths,
        *PLAN,
        *file_lines('"$PIPEBOARD_RUN_REPORT"', report),
        *file_lines('"$PIPEBOARD_LOADER_REPORT"', loader),
        *log_lines(completed()),
    )
    assert filler.full(["deals"], None, restart=False) == ("succeeded", 0)
    assert open_ones(database) == []


def test_a_wrong_stream_is_found_before_any_call() -> None:
    with pytest.raises(PipeboardError, match="no stream of this job is called dealz") as caught:
        check_streams(job("backfill"), {}, ["deals", "dealz"])
    assert caught.value.code == ExitCode.USAGE
    check_streams(job("backfill"), {}, ["deals"])


def answered(state: Path, answer: bytes, *arguments: str) -> tuple[int, str]:
    """Run `pipeboard` on a terminal, and answer its question."""
    terminal, command_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeboard", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm", "PIPEBOARD_STATE_DIR": str(state)},
        stdin=command_end,
        stdout=command_end,
        stderr=command_end,
    )
    os.close(command_end)
    output = b""
    while b"[y/N]" not in output and select.select([terminal], [], [], 30)[0]:
        output += os.read(terminal, 4096)
    os.write(terminal, answer)
    code = process.wait(60)
    try:
        while select.select([terminal], [], [], 1)[0]:
            output += os.read(terminal, 4096)
    except OSError:
        pass  # the terminal is gone with its last program
    os.close(terminal)
    return code, output.decode()


@pytest.mark.parametrize(("answer", "stays"), [(b"n\n", True), (b"\n", True), (b"y\n", False)])
def test_stop_forget_asks_first(tmp_path: Path, answer: bytes, stays: bool) -> None:
    file = tmp_path / "up" / OWN / "redis" / "data"
    file.parent.mkdir(parents=True)
    file.touch()
    code, output = answered(tmp_path, answer, "stop", "--forget")
    assert "Delete the embedded databases" in output
    assert file.exists() == stays, output
    assert (code == 0) == (not stays)
