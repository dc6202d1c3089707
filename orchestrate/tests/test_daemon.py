from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local.daemon import Daemon, ServiceSpec
from pipeboard.local.loopback import free_port, port_is_taken

SERVER = "import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler)"


def listener(port: int, signature: str = "", **environ: str) -> ServiceSpec:
    """A program that listens on a port until it is ended."""
    script = SERVER.format(port=port) + ".serve_forever()"
    return ServiceSpec(
        [sys.executable, "-c", script], environ, lambda: port_is_taken(port), signature
    )


@pytest.fixture
def program(tmp_path: Path) -> Daemon:
    return Daemon("thing", tmp_path / "thing", tmp_path / "logs" / "thing.log")


def test_it_starts_once_and_ends_once(program: Daemon) -> None:
    port = program.port(free_port())
    assert program.start(listener(port))
    assert not program.start(listener(port)), "it ran already"
    assert program.known_port() == port
    assert program.port(1) == port, "the port it has, whatever the usual one"
    assert program.stop()
    assert not port_is_taken(port)
    assert not program.stop()
    assert program.known_port() is None


@pytest.mark.parametrize("changed", [{"signature": "other rules"}, {"DATABASE": "another"}])
def test_what_changed_is_started_anew(program: Daemon, changed: dict[str, str]) -> None:
    port = program.port(free_port())
    assert program.start(listener(port))
    assert program.start(listener(port, **changed))
    assert not program.start(listener(port, **changed))
    program.stop()


def test_a_taken_port_is_left_to_its_owner(program: Daemon, tmp_path: Path) -> None:
    port = free_port()
    other = Daemon("other", tmp_path / "other", tmp_path / "other.log")
    other.start(listener(port))
    try:
        mine = program.port(port)
        assert mine != port
        assert program.port(port) == mine, "remembered while nothing runs"
    finally:
        other.stop()


def test_a_program_that_ends_at_once_says_why(program: Daemon) -> None:
    spec = ServiceSpec([sys.executable, "-c", "raise SystemExit('no disk')"], {}, lambda: False)
    with pytest.raises(
        PipeboardError, match=r"thing ended at once \(exit code 1\): no disk"
    ) as caught:
        program.start(spec)
    assert caught.value.code == ExitCode.UNAVAILABLE
    assert str(program.log) in caught.value.remedy
    assert not program.is_running()


def test_a_program_that_does_not_answer_is_ended(program: Daemon) -> None:
    spec = ServiceSpec(["sleep", "60"], {}, lambda: False, timeout_seconds=0.2)
    with pytest.raises(PipeboardError, match="does not answer"):
        program.start(spec)
    assert not program.is_running()


def test_a_program_that_is_not_there_is_a_problem(program: Daemon) -> None:
    with pytest.raises(PipeboardError, match="thing cannot be started"):
        program.start(ServiceSpec([str(program.folder / "absent")], {}, lambda: True))


def test_a_log_does_not_grow_for_ever(program: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeboard.local.daemon.LARGEST_LOG", 3)
    program.log.parent.mkdir()
    program.log.write_text("long ago\n")
    program.start(listener(program.port(free_port())))
    program.stop()
    assert program.log.read_text() == ""
    assert program.log.with_suffix(".old.log").read_text() == "long ago\n"


def test_damaged_records_are_written_anew(program: Daemon) -> None:
    port = program.port(free_port())
    program.start(listener(port))
    (program.folder / "port").write_text("eight")
    assert program.known_port() is None
    assert program.port(port) == port
    next(program.folder.glob("*.started-as")).unlink()
    assert program.start(listener(port)), "how it was started is not known"
    program.stop()
