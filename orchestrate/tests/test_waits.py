"""Waits end, and say what they wait for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeboard.bounded import within
from pipeboard.checks.preflight import check_account
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local.file_lock import file_lock

HOLDER = """
import sys, time
from pathlib import Path
from pipeboard.local.file_lock import file_lock
with file_lock(Path(sys.argv[1]), "another command"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(path: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == "held\n"
    return process


def test_the_wait_for_a_lock_ends_and_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = hold(path, 60)
    try:
        began = time.monotonic()
        with (
            pytest.raises(
                PipeboardError, match=f"held by process {holder.pid}: another command"
            ) as caught,
            file_lock(path, "this command", seconds=0.5),
        ):
            pass
        assert caught.value.code == ExitCode.UNAVAILABLE
        assert time.monotonic() - began < 10
    finally:
        holder.kill()
        holder.wait()
    with file_lock(path, "this command"):
        assert path.read_text() == f"process {os.getpid()}: this command"


def test_a_long_wait_for_a_lock_is_announced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lock"
    holder = hold(path, 4)
    with file_lock(path, "this command", seconds=60):
        pass
    message = f"this command waits up to 60 s for process {holder.pid}: another command\n"
    assert capsys.readouterr().err == f"pipeboard: {message}"
    holder.wait()


def test_a_limit_holds_and_errors_are_raised() -> None:
    assert within(5, "a quick one", lambda: 7) == 7
    with pytest.raises(TimeoutError, match="a slow one was not done within 0 s"):
        within(0.2, "a slow one", threading.Event().wait)
    with pytest.raises(ZeroDivisionError):
        within(5, "a broken one", lambda: 1 // 0)


@pytest.fixture
def dripping() -> Iterator[str]:
    """The URL of a server whose answers never end."""

    class Drips(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.1)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Drips)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_slow_answer_is_limited_as_a_whole(dripping: str) -> None:
    began = time.monotonic()
    with pytest.raises(PipeboardError, match="did not answer in time") as caught:
        check_account({"PIPEDRIVE_API_TOKEN": "token"}, dripping, timeout=1.0)
    assert caught.value.code == ExitCode.UNAVAILABLE
    assert time.monotonic() - began < 10
