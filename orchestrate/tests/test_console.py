"""Lines for a terminal: progress that is rewritten, and colours where they are wanted."""

from __future__ import annotations

import io
import json

import pytest

from pipeboard import console as module
from pipeboard.console import Console, JsonConsole, console_for
from pipeboard.errors import PipeboardError


class Terminal(io.StringIO):
    """Output that a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def test_progress_is_one_line_of_a_terminal_that_the_next_line_replaces(terminal: Terminal) -> None:
    console = Console(terminal)
    console.progress("sync", "x" * 99, 61)
    shown = terminal.getvalue()
    assert shown.startswith("\r\x1b[Ksync          1:01  xxx")
    assert len(shown) == len("\r\x1b[K") + 39, "a longer one would not be removed"
    console.note("sync", "done")
    assert terminal.getvalue() == f"{shown}\r\x1b[Ksync          done\n"


def test_a_terminal_has_colours_unless_they_are_not_wanted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Console(terminal).good("ok") == "\x1b[32mok\x1b[0m"
    assert Console(io.StringIO()).bad("no") == "no"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Console(terminal).bad("no") == "no"
    monkeypatch.setenv("TERM", "dumb")
    assert not Console(terminal).tty


@pytest.mark.parametrize("kind", [Console, JsonConsole])
def test_progress_off_a_terminal_is_seldom_and_never_twice_the_same(
    kind: type[Console], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    out = io.StringIO()
    console = kind(out)
    for text in ("one", "one", "two"):
        console.progress("sync", text, 5)
    assert out.getvalue().count("one") == 1
    assert out.getvalue().count("two") == 1
    monkeypatch.setattr(module, "QUIET_SECONDS", 60.0)
    console.progress("sync", "three", 6)
    assert "three" not in out.getvalue()


def test_json_lines_have_no_tables_and_no_empty_lines() -> None:
    out = io.StringIO()
    console = JsonConsole(out)
    console.line()
    console.table(["a"], [["b"]])
    console.line("  text ")
    console.progress("sync", "reads", 5.4)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first["event"] == "text"
    assert (second["event"], second["job"], second["seconds"]) == ("progress", "sync", 5)


def test_numbers_of_a_table_are_read_by_people() -> None:
    out = io.StringIO()
    Console(out).table(["n", "text"], [[1234.56, "a"], [None, "b"]])
    assert out.getvalue().splitlines() == ["        n  text", "  1,234.6  a", "        -  b"]
    Console(out).table(["empty"], [])


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(PipeboardError, match="PIPEBOARD_LOG_FORMAT is 'xml'"):
        console_for({"PIPEBOARD_LOG_FORMAT": "xml"}, io.StringIO())
