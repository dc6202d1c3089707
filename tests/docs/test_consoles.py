"""The first console block of the README of the tap and of the simulator runs as it is written."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pipedrive_simulator.testing import running_simulator

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
SIMULATOR = "plugins/utilities/pipedrive-simulator/README.md"
#: A target of the Singer specification that stores nothing and writes each state it gets.
TARGET = f"""#!{sys.executable}
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "STATE":
        print(json.dumps(message["value"]))
"""


def block(page: str) -> str:
    """Return the first console block without its installation: the packages are installed."""
    found = re.search(r"^```console\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
    assert found
    lines = found[1].splitlines()
    assert "pip install" in lines[0]
    return "\n".join(lines[1:])


def environ(**changes: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PIPEDRIVE_", "TAP_"))}
    return {**clean, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", **changes}


def test_the_commands_of_the_tap_run(tmp_path: Path) -> None:
    target = tmp_path / "bin" / "some-target"
    target.parent.mkdir()
    target.write_text(TARGET)
    target.chmod(0o755)
    # The page has this in place of a token.
    with running_simulator(deals=5, token="...") as simulator:
        given = environ(TAP_PIPEDRIVE_API_URL=simulator.url)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block("tap-pipedrive/README.md")],
            cwd=tmp_path, env={**given, "PATH": f"{target.parent}{os.pathsep}{given['PATH']}"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "api_token" in done.stdout, "--about"
    assert json.loads((tmp_path / "catalog.json").read_text())["streams"]
    assert "bookmarks" in json.loads((tmp_path / "state.json").read_text())
    assert len((tmp_path / "states.jsonl").read_text().splitlines()) > 1


@pytest.mark.long
def test_the_commands_of_the_simulator_print_what_the_page_shows(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # A command, and the lines that follow it on the page.
    serve, *others = [
        each.replace("8080", port) for each in re.split(r"^\$ ", block(SIMULATOR), flags=re.M)[1:]
    ]
    command, shown = serve.split("\n", 1)
    with subprocess.Popen(
        command.split(), cwd=tmp_path, env=environ(), stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().strip() == shown.strip()
            for each in others:
                command, shown = each.split("\n", 1) if "\n" in each else (each, "")
                done = subprocess.run(
                    ["bash", "-c", command], cwd=tmp_path, env=environ(),
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
                lines = [re.sub(r"[\d,]+", "0", line) for line in done.stdout.splitlines()]
                for line in shown.strip().splitlines():
                    assert line.strip() == "..." or re.sub(r"[\d,]+", "0", line) in lines
        finally:
            server.terminate()
