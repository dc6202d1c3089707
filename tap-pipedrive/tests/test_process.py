"""What the tap does for its process: its memory, and the progress line of a terminal."""

from __future__ import annotations

import ctypes
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tap_runs import MEASURED, PYTHON

from tap_pipedrive import logs, memory


@pytest.mark.parametrize("library", [OSError("no library"), SimpleNamespace()])
def test_a_malloc_that_is_not_glibcs_has_no_limit(
    monkeypatch: pytest.MonkeyPatch, library: Any
) -> None:
    def load(_: None) -> Any:
        if isinstance(library, Exception):
            raise library
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert not memory.limit_arenas()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(ctypes, "CDLL")
    assert not memory.limit_arenas()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_line_for_each_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(time, "monotonic", iter([100.0, 101.0, 101.2, 101.4, 103.0]).__next__)
    progress = logs.Progress()
    progress.update("deals", 1_500, 3)
    progress.update("deals", 2_000, 4)
    progress.update("deals", 2_001, 5, done=True)
    progress.update("users", 1, 1)
    lines = sys.stderr.getvalue().split("\r\x1b[2K")  # type: ignore[attr-defined]
    assert lines == [
        "",
        "deals                         1,500 records       3 calls      1 s",
        "deals                         2,001 records       5 calls      1 s\n",
        "users                             1 records       1 calls      3 s",
    ]


AT_A_CALL = """
from tap_pipedrive.api.deadline import DeadlineAdapter
send = DeadlineAdapter.send
def sending(*arguments, **more):
    if "/persons" in arguments[1].url:
        take_all_memory()
    return send(*arguments, **more)
DeadlineAdapter.send = sending
"""
AT_THE_START = "take_all_memory()\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize("moment", [AT_A_CALL, AT_THE_START], ids=["a call", "the start"])
def test_a_tap_without_memory_says_so_in_one_line(
    simulator: Any, tmp_path: Path, moment: str
) -> None:
    code = "from short_of_memory import take_all_memory\nfrom tap_pipedrive.main import main\n"
    code += f"{moment}main()"
    config = {"api_token": simulator.token, "api_url": simulator.url}
    report = tmp_path / "report.json"
    done = subprocess.run(
        [PYTHON, "-c", code, "--config", "/dev/stdin"],
        input=json.dumps(config), capture_output=True, text=True, check=False, timeout=60,
        cwd=Path(__file__).parent, env={"PIPEBOARD_RUN_REPORT": str(report), **MEASURED},
    )  # fmt: skip
    assert done.returncode == 69, done.stderr
    assert "Traceback" not in done.stderr
    message = "out of memory: the process got no more memory"
    assert done.stderr.splitlines()[-1].startswith(f"tap-pipedrive: {message}")
    if moment is AT_A_CALL:
        assert json.loads(report.read_text())["message"].startswith(message)
