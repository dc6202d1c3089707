"""Prefect on this machine, where it is not installed or fails; tests/prefect runs the real one."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest

from pipeboard.console import Console
from pipeboard.environments import DEMO, OWN
from pipeboard.errors import PipeboardError
from pipeboard.local.loopback import free_port
from pipeboard.local.prefect_service import PrefectService
from pipeboard.paths import Paths

#: Answers all requests with `true`, as `prefect server start --host HOST --port PORT` does /health.
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


def program(service: PrefectService, name: str, *script: str) -> None:
    """Put a shell script in the place of a program of Prefect's environment."""
    file = service.environment / "bin" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["#!/bin/sh", *script, ""]))
    file.chmod(0o755)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrefectService:
    monkeypatch.setenv("PIPEBOARD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("pipeboard.local.prefect_service.PORTS", {OWN: free_port()})
    return PrefectService(Paths(tmp_path), OWN)


def test_a_missing_prefect_names_the_remedy(own: PrefectService) -> None:
    with pytest.raises(PipeboardError, match="Prefect is not installed") as caught:
        own.start(Console(io.StringIO()), {})
    assert caught.value.code == 78
    assert "bootstrap.py prefect" in str(caught.value)


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        (["echo first", "echo the token is refused", "exit 77"], 77, "the token is refused"),
        (["exit 3"], 1, "no reason given"),
    ],
)
def test_flows_that_are_not_registered_end_the_server_that_was_started(
    own: PrefectService, script: list[str], code: int, reason: str
) -> None:
    (own.environment / "bin").mkdir(parents=True)
    (own.environment / "server.py").write_text(SERVER)
    program(own, "prefect", f'exec /usr/bin/env python3 {own.environment}/server.py "$@"')
    program(own, "python", *script)
    out = io.StringIO()
    with pytest.raises(PipeboardError, match=f"did not register the flows: {reason}") as caught:
        own.start(Console(out), {})
    assert caught.value.code == code
    assert ("first" in out.getvalue()) == (code == 77), "what it says is shown"
    assert own.server.process is None
    assert own.stop() is False


def test_only_the_account_of_the_user_is_stored_in_blocks(
    own: PrefectService, tmp_path: Path
) -> None:
    given = {"REDIS_URL": "redis://here", "PIPEDRIVE_API_TOKEN": "t", "GITHUB_PAT": "", "PATH": "x"}
    demo = PrefectService(own.paths, DEMO)
    program(own, "python", 'echo "$REDIS_URL $PIPEDRIVE_API_TOKEN ${GITHUB_PAT-none} $*"')
    for service, expected in (
        (own, "redis://here t none "), (demo, "  none "),
    ):  # fmt: skip
        out = io.StringIO()
        service._register(Console(out), "http://127.0.0.1:9", given)
        line = next(line for line in out.getvalue().splitlines() if "register.py" in line)
        assert line.strip().startswith(expected.strip())
        assert line.endswith("--no-blocks") == (service is demo)


def test_a_server_of_a_real_account_has_a_password_and_the_demo_none(own: PrefectService) -> None:
    password = own.auth
    assert password == own.auth, "it is made once"
    assert stat.S_IMODE(own.password_file.stat().st_mode) == 0o600
    demo = PrefectService(own.paths, DEMO)
    assert demo.auth is None
    server, client = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"
    assert own._environ()[server] == own._environ("http://there")[client] == password
    assert not {server, client} & {*demo._environ(), *demo._environ("http://there")}


def test_a_server_that_has_ended_answers_nothing(own: PrefectService) -> None:
    assert own.call("/health") is None
