from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from pipeboard.local.processes import TrackedProcess, command_line, create_time

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_recorded_process_is_ended_and_no_other(tmp_path: Path) -> None:
    own, other = subprocess.Popen(SLEEP), subprocess.Popen(SLEEP)
    try:
        tracked = TrackedProcess.of(own.pid)
        assert tracked is not None
        tracked.save(tmp_path / "process.json")
        loaded = TrackedProcess.load(tmp_path / "process.json")
        assert loaded == tracked
        deadline = time.monotonic() + 5
        while "time.sleep" not in command_line(own.pid):
            assert time.monotonic() < deadline, command_line(own.pid)
        assert loaded is not None
        assert loaded.end()
        assert own.wait(5) != 0
        assert not loaded.end()
        assert other.poll() is None
    finally:
        for process in (own, other):
            process.kill()
            process.wait()


def test_another_process_with_the_same_number_is_not_ended() -> None:
    assert not TrackedProcess(os.getpid(), "another time").end()


def test_no_process_no_birth() -> None:
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    assert create_time(finished.pid) is None
    assert TrackedProcess.of(finished.pid) is None


def test_an_unreadable_record_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "process.json").write_text("{")
    assert TrackedProcess.load(tmp_path / "process.json") is None


def test_the_record_of_an_older_release_is_still_known(tmp_path: Path) -> None:
    path = tmp_path / "process.json"
    path.write_text(f'{{"pid": {os.getpid()}, "born": "{create_time(os.getpid())}"}}')
    assert TrackedProcess.load(path) == TrackedProcess.of(os.getpid())
