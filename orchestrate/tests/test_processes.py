from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from pipeboard.local.processes import TrackedProcess, children, command_line, create_time

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


def test_children_are_those_that_a_process_started() -> None:
    child = subprocess.Popen(SLEEP)
    try:
        assert child.pid in children(os.getpid())
        assert os.getpid() not in children(child.pid)
        tracked = TrackedProcess.of(child.pid)
        assert tracked is not None
        tracked.terminate()
        assert child.wait(5) == -15
        tracked.terminate()
    finally:
        child.kill()
        child.wait()
    assert command_line(child.pid) == ""


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    script = "trap '' TERM; echo ready; while true; do sleep 1; done"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as stubborn:
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline() == "ready\n"
        tracked = TrackedProcess.of(stubborn.pid)
        assert tracked is not None
        assert tracked.end(0.2)
        assert stubborn.wait(5) == -9
