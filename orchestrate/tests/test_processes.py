from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from pipeboard.local.processes import Recorded, birth, command_line

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_recorded_process_is_ended_and_no_other(tmp_path: Path) -> None:
    ours, other = subprocess.Popen(SLEEP), subprocess.Popen(SLEEP)
    try:
        recorded = Recorded.of(ours.pid)
        assert recorded is not None
        recorded.save(tmp_path / "process.json")
        loaded = Recorded.load(tmp_path / "process.json")
        assert loaded == recorded
        deadline = time.monotonic() + 5
        while "time.sleep" not in command_line(ours.pid):
            assert time.monotonic() < deadline, command_line(ours.pid)
        assert loaded is not None
        assert loaded.end()
        assert ours.wait(5) != 0
        assert not loaded.end()
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


def test_a_number_that_somebody_else_has_by_now_is_left_alone() -> None:
    assert not Recorded(os.getpid(), "another birth").end()


def test_no_process_no_birth() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert birth(ended.pid) is None
    assert Recorded.of(ended.pid) is None


def test_an_unreadable_record_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "process.json").write_text("{")
    assert Recorded.load(tmp_path / "process.json") is None
