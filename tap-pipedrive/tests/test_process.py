"""What the tap does for its process: its memory, and the progress line of a terminal."""

from __future__ import annotations

import ctypes
import io
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tap_pipedrive import logs, memory


@pytest.mark.parametrize("library", [OSError("no library"), SimpleNamespace()])
def test_a_malloc_that_is_not_glibcs_is_left_alone(
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
