from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeboard.console import Console
from pipeboard.environments import DEMO, OWN
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local import schedule
from pipeboard.local.processes import create_time
from pipeboard.local.schedule import Schedule, Scheduler, claim, holder, read_schedules
from pipeboard.paths import Paths

ZONE = ZoneInfo("America/Sao_Paulo")


def written(root: Path, *times: tuple[str, str]) -> Path:
    lines = [f"- {{name: {job}, job: {job}, interval: '{cron}'}}" for job, cron in times]
    (root / "meltano.yml").write_text("schedules:\n" + "\n".join(lines))
    return root


def test_times_are_those_of_the_zone(tmp_path: Path) -> None:
    root = written(tmp_path, ("sync", "*/30 * * * *"), ("sweep", "40 3 * * *"))
    sync, sweep = read_schedules(root, {})
    now = datetime(2026, 3, 1, 3, 10, tzinfo=ZONE)
    assert sync.next(now) == datetime(2026, 3, 1, 3, 30, tzinfo=ZONE)
    assert sweep.next(now) == datetime(2026, 3, 1, 3, 40, tzinfo=ZONE)
    # Where a night has an hour less, what is due in it comes with the next one that there is.
    (berlin, _) = read_schedules(root, {"PIPEBOARD_REPORTING_TIMEZONE": "Europe/Berlin"})
    before = datetime(2026, 3, 29, 1, 45, tzinfo=berlin.zone)
    assert berlin.next(before).timestamp() - before.timestamp() == 15 * 60


def test_day_after_day(tmp_path: Path) -> None:
    (sweep,) = read_schedules(written(tmp_path, ("sweep", "40 3 * * *")), {})
    at = datetime(2026, 1, 1, tzinfo=ZONE)
    for day in range(1, 8):
        at = sweep.next(at + timedelta(minutes=1))
        assert (at.day, at.hour, at.minute) == (day, 3, 40)


@pytest.mark.parametrize(
    ("cron", "runs"),
    [("*/30 * * * *", 48), ("5 9-17 * * mon-fri", 6), ("0 4 * * *", 1), ("0 0 29 feb *", 0)],
)
def test_how_often_a_job_runs_a_day(cron: str, runs: int) -> None:
    assert Schedule("sync", "sync", cron, ZONE).runs_a_day == runs


@pytest.mark.parametrize(
    ("cron", "environ", "text"),
    [
        ("61 4 * * *", {}, "Write five fields"),
        ("@hourly", {}, "Write five fields"),
        ("0 4 * * 1-5", {}, "Write names: mon-fri"),
        ("0 4 * * *", {"PIPEBOARD_REPORTING_TIMEZONE": "Brazil/Nowhere"}, "no time zone known"),
    ],
)
def test_what_is_not_understood_is_a_problem(
    tmp_path: Path, cron: str, environ: dict[str, str], text: str
) -> None:
    with pytest.raises(PipeboardError, match=text) as caught:
        read_schedules(written(tmp_path, ("sync", cron)), environ)
    assert caught.value.code == ExitCode.CONFIGURATION


def test_only_one_has_the_schedule_and_a_child_keeps_it(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    assert holder(paths, OWN) is None
    descriptor = claim(paths, OWN, "prefect")
    child = subprocess.Popen(["sleep", "60"], pass_fds=[descriptor])
    os.close(descriptor)
    try:
        assert holder(paths, OWN) == "prefect", "its child lives"
        assert holder(paths, DEMO) is None, "another environment"
        with pytest.raises(PipeboardError, match="prefect has the schedule of the"):
            claim(paths, OWN, "pipeboard")
    finally:
        child.kill()
        child.wait()
    assert holder(paths, OWN) is None
    os.close(claim(paths, OWN, "pipeboard"))


def pipeboard(paths: Paths, script: str) -> None:
    """Put a program in pipeboard's place: when it is started, and how it is ended, matters here."""
    paths.binaries.mkdir(parents=True, exist_ok=True)
    (paths.binaries / "pipeboard").write_text(f"#!/bin/sh\n{script}\n")
    (paths.binaries / "pipeboard").chmod(0o755)


def serve(paths: Paths, kind: str, *schedules: Schedule, until: Path) -> int:
    """Schedule until a file is there, then end as `make stop` would."""

    def end() -> None:
        deadline = time.monotonic() + 20
        while not until.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()
    return Scheduler(paths, kind, Console(sys.stdout), quiet=True).serve(schedules)


NEVER = "0 0 29 feb *"


@pytest.mark.parametrize(
    ("kind", "job", "command"),
    [
        (OWN, "sync", "run sync"),
        (OWN, "sweep", "run sweep"),
        (DEMO, "sync", "demo"),
        (DEMO, "sweep", "run --demo sweep"),
    ],
)
def test_a_job_runs_in_its_environment(tmp_path: Path, kind: str, job: str, command: str) -> None:
    found = Scheduler(Paths(tmp_path), kind, Console(), quiet=True).command(job)
    assert " ".join(found[1:]) == command


def test_the_first_sync_begins_at_once_and_ends_gently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, began, reported = Paths(tmp_path), tmp_path / "began", tmp_path / "reported"
    script = f"trap 'echo bye >{reported}; exit 143' TERM\ntouch {began}\n"
    pipeboard(paths, script + "sleep 9 >/dev/null 2>&1 & wait")
    late = Schedule("sweep", "sweep", NEVER, ZONE)
    code = serve(paths, OWN, Schedule("sync", "sync", NEVER, ZONE), late, until=began)
    assert code == 0
    assert reported.read_text() == "bye\n", "it got SIGTERM, not SIGKILL"
    assert holder(paths, OWN) is None
    out = capsys.readouterr().out
    assert "sync" in out and "begins" in out and "ended with 143" in out
    assert out.count("begins") == 1, "what comes once a day waits for its time"


def test_a_run_that_starts_while_the_schedule_ends_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, began, reported = Paths(tmp_path), tmp_path / "began", tmp_path / "reported"
    script = f"trap 'echo bye >{reported}; exit 143' TERM\ntouch {began}\n"
    pipeboard(paths, script + "sleep 9 >/dev/null 2>&1 & wait")

    class Late(subprocess.Popen[str]):
        """Tells of its process only after the signal to end."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            if arguments[0] == [str(paths.binaries / "pipeboard"), "run", "sync"]:
                time.sleep(1)

    monkeypatch.setattr(subprocess, "Popen", Late)
    assert serve(paths, OWN, Schedule("sync", "sync", NEVER, ZONE), until=began) == 0
    assert reported.read_text() == "bye\n"


@pytest.mark.parametrize(("job", "expected"), [("sync", "true"), ("reference", "")])
def test_a_sync_learns_that_a_schedule_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str, expected: str
) -> None:
    monkeypatch.delenv("PIPEBOARD_SCHEDULED", raising=False)
    paths, found = Paths(tmp_path), tmp_path / "found"
    pipeboard(paths, f'echo "$PIPEBOARD_SCHEDULED" >{found}')
    each = Schedule(job, job, NEVER, ZONE)
    Scheduler(paths, OWN, Console(), quiet=True)._once(each)
    assert found.read_text().strip() == expected


def test_what_was_unavailable_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schedule, "RETRY_SECONDS", 0.1)
    paths, tried, done = Paths(tmp_path), tmp_path / "tried", tmp_path / "done"
    script = f"[ -e {tried} ] && touch {done}\ntouch {tried}\necho the API is away\nexit 69"
    pipeboard(paths, script)
    serve(paths, OWN, Schedule("sync", "sync", NEVER, ZONE), until=done)
    out = capsys.readouterr().out
    assert out.count("begins") == 2
    assert "ended with 69 after 0 s: the API is away" in out


def test_a_run_that_outlasts_the_end_of_the_schedule_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "RUN_END_TIMEOUT_SECONDS", 0.3)
    paths, began = Paths(tmp_path), tmp_path / "began"
    pipeboard(paths, f"trap '' TERM\necho $$ > {began}.new\nmv {began}.new {began}\nexec sleep 60")
    assert serve(paths, OWN, Schedule("sync", "sync", NEVER, ZONE), until=began) == 0
    deadline = time.monotonic() + 10
    while create_time(int(began.read_text())):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.05)


def test_a_schedule_shows_what_its_runs_say_and_starts_none_after_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, each = Paths(tmp_path), Schedule("sync", "sync", NEVER, ZONE)
    pipeboard(paths, "echo of the run\necho\nexit 1")
    scheduler = Scheduler(paths, OWN, Console(), quiet=False)
    assert scheduler._once(each) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "of the run"
    assert lines[-1].endswith("ended with 1 after 0 s"), "its output is not repeated"
    scheduler._ending.set()
    assert scheduler._once(each) == 0
    assert capsys.readouterr().out == ""
